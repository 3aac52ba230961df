"""Epochs of one of this project's networks in PyTorch, for `host bench train`.

Usage: train_pytorch.py TASK.json
TASK holds `layers` and `classes` of a network, `shape` [height, width, channels], `batch_size`, `threads`, `epochs`,
`images` and `labels` (files of bytes, the validation images last), `train_images` (how many come before those), and for
photographs `large` and `large_shape`, the images to cut changed ones out of, with `augmentation`, the recipe's.
Prints {"seconds_per_epoch": fastest, "torch": version}. Batches of images that are not photographs are slices of one
tensor, without augmentation.
"""

import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(*conv(channels, channels, 3, 1, 1, True))

    def forward(self, x):
        return x + self.layers(x)


def conv(inputs, outputs, kernel, stride, padding, batch_norm, groups=1):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=not batch_norm)
    return [layer, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.ReLU()]


def network(specs, shape, classes):
    """The layers of models/networks/NAME.json; sizes of dense layers come from running a zero through."""
    layers, x = [], torch.zeros(1, shape[2], shape[0], shape[1])
    for spec in specs:
        kind, options = next(iter(spec.items())) if isinstance(spec, dict) else (spec, {})
        channels = x.shape[1]
        if kind == "conv":
            new = conv(channels, options["out_channels"], *(options[k] for k in ("kernel", "stride", "padding", "batch_norm")))
        elif kind == "depthwise":
            new = conv(channels, channels, 3, options["stride"], 1, True, groups=channels)
        elif kind == "residual":
            new = [Residual(channels)]
        elif kind == "max-pool":
            new = [nn.MaxPool2d(options["size"])]
        elif kind == "average-pool":
            new = [nn.AvgPool2d(options["size"], options["stride"])]
        elif kind == "global-average-pool":
            new = [nn.AdaptiveAvgPool2d(1)]
        elif kind == "dropout":
            new = [nn.Dropout(options["probability"])]
        elif kind in ("dense", "logits"):
            outputs = options.get("out_features", classes)
            flat = [nn.Flatten()] if x.dim() > 2 else []
            new = [*flat, nn.Linear(x.numel(), outputs), *([nn.ReLU()] if options.get("relu") else [])]
        else:
            sys.exit(f"{kind}: no layer that this script knows")
        layers += new
        x = nn.Sequential(*new).eval()(x).detach()
    return nn.Sequential(*layers)


def augmented(images, side, augmentation):
    """The recipe's changes of photographs, a batch at a time; images are 0..1, [n][channels][height][width]."""
    photo, count = augmentation["photo"], len(images)

    def both_ways(most, *shape):
        return (torch.rand(count, *shape) * 2 - 1) * most

    angle = both_ways(math.radians(photo["rotation"]))
    low, high = photo["scale"]
    scale = low + (high - low) * torch.rand(count)
    aspect = torch.exp(both_ways(math.log(photo["aspect"])) / 2)
    across, down = scale * aspect, scale / aspect
    if augmentation["flip"]:
        across = across * torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows = [torch.stack([cosine * across, -sine * down, both_ways(2 * photo["shift"])], 1),
            torch.stack([sine * across, cosine * down, both_ways(2 * photo["shift"])], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), (count, images.shape[1], *side), align_corners=False)
    x = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    blurred = torch.rand(count) < photo["blur"]
    if blurred.any():
        line = torch.tensor([0.25, 0.5, 0.25])
        kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
        x[blurred] = F.conv2d(F.pad(x[blurred], (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])
    mean = x.mean((1, 2, 3), keepdim=True)
    gray = torch.rand(count) < photo["gray"]
    if x.shape[1] == 3 and gray.any():
        weights = torch.tensor([77, 150, 29]).view(1, 3, 1, 1) / 256
        x[gray] = (x[gray] * weights).sum(1, keepdim=True).expand(-1, 3, -1, -1)
    contrast = torch.exp(both_ways(math.log(photo["contrast"])))[:, None, None, None]
    offset = both_ways(photo["brightness"], 1) + both_ways(photo["colour"], x.shape[1])
    x = (x - mean) * contrast + mean + offset[:, :, None, None]
    if photo["noise"] > 0:
        x = x + torch.randn_like(x) * (photo["noise"] * torch.rand(count))[:, None, None, None]
    x = x.clamp_(0, 1)
    half = augmentation["cutout_side"] / 2
    for image in x[torch.rand(count) < augmentation["cutout_probability"]]:
        row, column = (torch.rand(2) * torch.tensor(side)).tolist()
        image[:, max(0, int(row - half)):int(row + half), max(0, int(column - half)):int(column + half)] = 0
    return x


def read(path, shape):
    height, width, channels = shape
    images = np.fromfile(path, np.uint8).reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(images, np.float32) / 255)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        task = json.load(file)
    torch.set_num_threads(task["threads"])
    torch.manual_seed(1)
    shape, count = task["shape"], task["train_images"]
    images = read(task["images"], shape)
    large = read(task["large"], task["large_shape"])[:count] if task.get("large") else None
    labels = torch.from_numpy(np.fromfile(task["labels"], np.uint8).astype(np.int64))
    net = network(task["layers"], shape, task["classes"])
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loss_of = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(task["epochs"]):
        started = time.perf_counter()
        net.train()
        for chosen in torch.randperm(count).split(task["batch_size"]):
            batch = images[chosen] if large is None else augmented(large[chosen], shape[:2], task["augmentation"])
            optimizer.zero_grad()
            loss_of(net(batch), labels[chosen]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for start in range(count, len(labels), 512):
                net(images[start:start + 512]).argmax(1)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds_per_epoch": min(seconds), "torch": torch.__version__}))


main()
