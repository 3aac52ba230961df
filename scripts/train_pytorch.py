"""An epoch of this project's networks in PyTorch, for `host bench train`.

Usage: train_pytorch.py FOLDER NETWORK BATCH TRAIN_IMAGES THREADS EPOCHS
Trains on the first TRAIN_IMAGES of Fashion-MNIST's IDX files in FOLDER, validates on the rest after every epoch,
and prints {"seconds_per_epoch": fastest, "torch": version}. No augmentation: batches are slices of one tensor.
"""

import gzip
import json
import sys
import time

import numpy as np
import torch
from torch import nn


def article():
    return nn.Sequential(
        nn.Conv2d(1, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(10816, 32), nn.ReLU(), nn.Linear(32, 10),
    )


def conv(inputs, outputs, padding, side=3):
    layer = nn.Conv2d(inputs, outputs, side, padding=padding, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def minivgg():
    return nn.Sequential(
        *conv(1, 32, 1), *conv(32, 32, 1), nn.MaxPool2d(2), nn.Dropout(0.25),
        *conv(32, 64, 1), *conv(64, 64, 1), nn.MaxPool2d(2), nn.Dropout(0.25),
        *conv(64, 512, 0, side=7), nn.Dropout(0.5), nn.Flatten(), nn.Linear(512, 10),
    )


def teacher():
    return nn.Sequential(
        *conv(1, 24, 1), nn.MaxPool2d(2), *conv(24, 64, 1), *conv(64, 64, 1), nn.MaxPool2d(2), nn.Dropout(0.1),
        *conv(64, 128, 1), *conv(128, 128, 1), nn.Dropout(0.2), *conv(128, 128, 0), nn.Dropout(0.3),
        nn.Flatten(), nn.Linear(128 * 25, 10),
    )


def tapering(a, b, c, d, e):
    return nn.Sequential(
        *conv(1, a, 1), nn.MaxPool2d(2), *conv(a, b, 1), nn.MaxPool2d(2),
        *conv(b, c, 1), *conv(c, d, 0), *conv(d, e, 0), nn.Flatten(), nn.Linear(9 * e, 10),
    )


NETWORKS = {
    "article": article,
    "nano": lambda: tapering(8, 20, 32, 32, 28),
    "small": lambda: tapering(16, 24, 40, 48, 48),
    "flagship": lambda: tapering(20, 36, 64, 72, 64),
    "minivgg": minivgg,
    "teacher": teacher,
}


def read(folder, name, skip):
    for path, opener in ((f"{folder}/{name}.gz", gzip.open), (f"{folder}/{name}", open)):
        try:
            with opener(path, "rb") as file:
                return np.frombuffer(file.read(), np.uint8, offset=skip)
        except FileNotFoundError:
            pass
    sys.exit(f"{folder}/{name}: missing")


def main():
    folder, network, batch, count, threads, epochs = sys.argv[1:]
    batch, count, epochs = int(batch), int(count), int(epochs)
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    images = read(folder, "train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    images = torch.from_numpy(images.astype(np.float32) / 255)
    labels = torch.from_numpy(read(folder, "train-labels-idx1-ubyte", 8).astype(np.int64))
    net = NETWORKS[network]()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loss_of = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        net.train()
        for chosen in torch.randperm(count).split(batch):
            optimizer.zero_grad()
            loss_of(net(images[chosen]), labels[chosen]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for start in range(count, len(labels), 512):
                net(images[start:start + 512]).argmax(1)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds_per_epoch": min(seconds), "torch": torch.__version__}))


main()
