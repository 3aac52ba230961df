"""Exports a small network that PyTorch quantized itself, as a user does.

usage: quantize_torch.py IMAGES eager|fx|pt2e OUT
IMAGES: 32-bit floats, [n][1][28][28].
"""
import sys
import warnings

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")
images, way, out = sys.argv[1:]
pictures = torch.from_numpy(np.fromfile(images, np.float32).reshape(-1, 1, 28, 28))
torch.manual_seed(0)


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(784, 10),
        )


net = Net().eval()
if way == "eager":
    from torch.ao import quantization as q

    net = nn.Sequential(q.QuantStub(), net, q.DeQuantStub()).eval()
    net.qconfig = q.get_default_qconfig("x86")
    q.fuse_modules(net[1], [["0", "1"], ["3", "4"]], inplace=True)
    q.prepare(net, inplace=True)
    net(pictures)
    q.convert(net, inplace=True)
elif way == "fx":
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    prepared = prepare_fx(net, get_default_qconfig_mapping("x86"), (pictures[:1],))
    prepared(pictures)
    net = convert_fx(prepared)
else:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(torch.export.export(net, (pictures[:1],)).module(), quantizer)
    for picture in pictures:
        prepared(picture[None])
    net = convert_pt2e(prepared)
torch.onnx.export(net, (pictures[:1],), out, opset_version=None if way == "pt2e" else 17, dynamo=way == "pt2e")
