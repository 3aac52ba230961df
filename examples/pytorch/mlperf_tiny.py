"""Writes MLPerf Tiny's three classifiers with random weights as ONNX, and noise to calibrate them on.

usage: mlperf_tiny.py FOLDER
then:  host import FOLDER/mobilenet.onnx --data FOLDER/mobilenet.npy --max-loss 100 --out models/mine
       host bench kernels models/mine
"""
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Conv(nn.Module):
    """Convolution with TensorFlow's "same" padding, batch norm and ReLU."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.conv.kernel_size), reversed(self.conv.stride)):
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [pad // 2, pad - pad // 2]
        y = self.norm(self.conv(F.pad(x, pads)))
        return F.relu(y) if self.relu else y


class Block(nn.Module):
    """Two convolutions and what they are added to."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = Conv(inputs, outputs, 3, stride), Conv(outputs, outputs, 3, relu=False)
        self.other = nn.Identity() if stride == 1 else Conv(inputs, outputs, 1, stride, relu=False)

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + self.other(x))


def separable(inputs, outputs, stride=1):
    return [Conv(inputs, inputs, 3, stride, groups=inputs), Conv(inputs, outputs, 1)]


def end(channels, classes):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def mobilenet():
    layers, inputs = [Conv(3, 8, 3, 2)], 8
    for outputs, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)] + [(128, 1)] * 5 + [(256, 2), (256, 1)]:
        layers += separable(inputs, outputs, stride)
        inputs = outputs
    return layers + end(256, 2)


torch.manual_seed(1)
folder = Path(sys.argv[1])
networks = {
    "resnet-8": ([Conv(3, 16, 3), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)] + end(64, 10), (3, 32, 32)),
    "ds-cnn": ([Conv(1, 64, (10, 4), 2)] + sum((separable(64, 64) for _ in range(4)), []) + end(64, 12), (1, 49, 10)),
    "mobilenet": (mobilenet(), (3, 96, 96)),
}
for name, (layers, shape) in networks.items():
    net = nn.Sequential(*layers).eval()
    torch.onnx.export(net, (torch.rand(1, *shape),), folder / f"{name}.onnx", dynamo=True, external_data=False, verbose=False)
    np.save(folder / f"{name}.npy", np.random.default_rng(1).integers(0, 256, (50, *shape[1:], shape[0]), np.uint8))
    print(folder / f"{name}.onnx")
