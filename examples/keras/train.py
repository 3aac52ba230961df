"""Trains a small separable network on Fashion-MNIST with Keras 3 and exports it as ONNX."""
import gzip, os, sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import numpy as np
from keras import layers

DATA = Path(os.environ.get("FASHION_MNIST_DIR", "../shared/data/fashion-mnist"))


def read(name, offset):
    file = next(DATA.glob(name + "*"))
    opener = gzip.open if file.suffix == ".gz" else open
    return np.frombuffer(opener(file, "rb").read(), np.uint8, offset=offset)


keras.utils.set_random_seed(1)
images = read("train-images", 16).reshape(-1, 28, 28, 1).astype("float32") / 255
labels = read("train-labels", 8)
net = keras.Sequential([
    keras.Input((28, 28, 1)),
    layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False),
    layers.BatchNormalization(),
    layers.Activation("hard_swish"),
    layers.DepthwiseConv2D(3, padding="same", use_bias=False),
    layers.BatchNormalization(),
    layers.ReLU(max_value=6),
    layers.Conv2D(32, 1, use_bias=False),
    layers.BatchNormalization(),
    layers.LeakyReLU(negative_slope=0.1),
    layers.MaxPooling2D(2),
    layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])
net.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
count = int(sys.argv[2]) if len(sys.argv) > 2 else len(images)
net.fit(images[:count], labels[:count], batch_size=128, epochs=2, verbose=2)
out = sys.argv[1] if len(sys.argv) > 1 else "keras.onnx"
net.export(out, format="onnx", verbose=False)
print(out)
