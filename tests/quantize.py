"""Quantizes a float ONNX file as a user of ONNX Runtime does.

usage: quantize.py MODEL IMAGES FORMAT ACTIVATIONS WEIGHTS per-channel|per-tensor symmetric|asymmetric OUT
IMAGES: 32-bit floats, [n][channels][height][width] of the model's input.
"""
import sys

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

model, images, form, activations, weights, scales, symmetry, out = sys.argv[1:]
entry = onnx.load(model).graph.input[0]
name = entry.name
shape = [size.dim_value for size in entry.type.tensor_type.shape.dim[1:]]
pictures = np.fromfile(images, np.float32).reshape(-1, *shape)


class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = iter(pictures)

    def get_next(self):
        picture = next(self.left, None)
        return None if picture is None else {name: picture[None]}


quant_pre_process(model, out)
quantize_static(
    out,
    out,
    Reader(),
    quant_format=QuantFormat[form],
    activation_type=QuantType[activations],
    weight_type=QuantType[weights],
    per_channel=scales == "per-channel",
    extra_options={"ActivationSymmetric": symmetry == "symmetric"},
)
