"""Trains a small residual network on Fashion-MNIST with PyTorch and exports it as ONNX."""
import gzip, os, sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

DATA = Path(os.environ.get("FASHION_MNIST_DIR", "../shared/data/fashion-mnist"))


def read(name, offset):
    file = next(DATA.glob(name + "*"))
    opener = gzip.open if file.suffix == ".gz" else open
    return torch.from_numpy(np.frombuffer(opener(file, "rb").read(), np.uint8, offset=offset).copy())


class Block(nn.Module):
    """Two convolutions and a projection of what they read."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU())
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.projection = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.silu(self.second(self.first(x)) + self.projection(x))


torch.manual_seed(1)
images = read("train-images", 16).reshape(-1, 1, 28, 28).float() / 255
labels = read("train-labels", 8).long()
net = nn.Sequential(
    nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), Block(8, 16), Block(16, 32),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
)
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 1_500
optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
for step in range(steps):
    batch = torch.randint(len(images), (128,))
    loss = F.cross_entropy(net(images[batch]), labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    if step % 250 == 0:
        print(f"step {step}: loss {loss.item():.3f}")
out = sys.argv[1] if len(sys.argv) > 1 else "pytorch.onnx"
torch.onnx.export(net.eval(), (images[:1],), out, dynamo=True, external_data=False, verbose=False)
print(out)
