"""Trains the network on drawn digits and turns it into a full-integer TFLite file. Needs the extra `train`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.tools import flatbuffer_utils

from inferd_tools.digits.data import Digits
from inferd_tools.digits.draw import CLEAN, DESK, INPUT_PX, TRAINING_REACH, draw, stray, to_input

Array = NDArray[Any]
Network = Any  # keras ships no types
CLASSES = 10
SEED = 20261122
ROUNDS = 60
BATCH = 64
LEARNING_RATE = 2e-3
CALIBRATION_SAMPLES = 400
INPUT_NAME = "picture"
OUTPUT_NAME = "scores"
_ROUNDS_PER_LINE = 10


def fix_seeds() -> None:
    """Make training repeatable on one machine with one TensorFlow."""
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()


def build() -> Network:
    """Return the untrained network: (1, 32, 32, 1) grey 0..1 to ten scores that add up to 1.

    The last layer is a convolution over the whole 4x4 field and not a dense layer: converters now quantise dense layers
    per channel, and tflite-runtime 2.14 was seen to compute such layers wrongly and without an error.
    """
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((INPUT_PX, INPUT_PX, 1), name=INPUT_NAME),
            *_convolution(16, stride=2),
            *_convolution(32),
            layers.MaxPooling2D(),
            *_convolution(48),
            layers.MaxPooling2D(),
            *_convolution(64),
            layers.Dropout(0.4),
            layers.Conv2D(CLASSES, 4, padding="valid"),
            layers.Reshape((CLASSES,)),
            layers.Softmax(),
        ]
    )


def fit(network: Network, digits: Digits, rounds: int = ROUNDS) -> None:
    """Train for a fixed number of rounds; each round draws every digit anew."""
    rng = np.random.default_rng(SEED)
    steps = rounds * -(-len(digits.labels) // BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    network.compile(
        optimizer=tf.keras.optimizers.AdamW(rate, weight_decay=1e-3),
        loss=tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
    )
    for number in range(1, rounds + 1):
        loss = _one_round(network, drawn_anew(digits, rng), digits.labels, rng)
        if number % _ROUNDS_PER_LINE == 0:
            print(f"round {number} of {rounds}: loss {loss:.3f}")


def drawn_anew(digits: Digits, rng: np.random.Generator) -> Array:
    """Return (n, 32, 32, 1) uint8, each digit once, as a training view."""
    views = (stray(DESK, TRAINING_REACH, rng) for _ in digits.labels)
    return np.stack([to_input(draw(cells, view, rng)) for cells, view in zip(digits.cells, views, strict=True)])


def drawn_clean(digits: Digits) -> Array:
    """Return (n, 32, 32, 1) uint8, each digit once: upright, centred, evenly lit, without noise."""
    rng = np.random.default_rng(SEED)
    return np.stack([to_input(draw(cells, CLEAN, rng)) for cells in digits.cells])


def as_real(pictures: Array) -> Array:
    """Return pixels 0..255 as float32 0..1."""
    return np.asarray(pictures, dtype=np.float32) / np.float32(255.0)


def float_scores(network: Network, pictures: Array) -> Array:
    """Return the float network's (n, 10) scores of (n, 32, 32, 1) uint8 pictures."""
    return np.asarray(network.predict(as_real(pictures), batch_size=256, verbose=0))


def quantised(network: Network, digits: Digits) -> bytes:
    """Return the network as a TFLite file with uint8 in and out and int8 between, calibrated on training views."""
    fixed = tf.keras.Sequential([tf.keras.Input(batch_shape=(1, INPUT_PX, INPUT_PX, 1)), *network.layers])
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _calibration(digits)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    with redirect_stdout(StringIO()):  # the converter lists every weight
        content = converter.convert()
    return _renamed(content)


def _one_round(network: Network, pictures: Array, labels: Array, rng: np.random.Generator) -> float:
    """Train on each of (n, 32, 32, 1) uint8 pictures once, in random order; return the mean loss of the round."""
    truth = np.eye(CLASSES, dtype=np.float32)[labels]
    order = rng.permutation(len(labels))
    losses = []
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        losses.append(float(network.train_on_batch(as_real(pictures[batch]), truth[batch])))
    return float(np.mean(losses))


def _convolution(channels: int, stride: int = 1) -> list[Any]:  # Any: keras ships no types
    layers = tf.keras.layers
    return [
        layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


def _calibration(digits: Digits) -> Iterator[list[Array]]:
    """Give black and white first: they pin the input's scale to 1/255 and its zero point to 0."""
    rng = np.random.default_rng(SEED + 1)
    for level in (0.0, 1.0):
        yield [np.full((1, INPUT_PX, INPUT_PX, 1), level, np.float32)]
    chosen = rng.permutation(len(digits.labels))[:CALIBRATION_SAMPLES]
    some = Digits(digits.cells[chosen], digits.labels[chosen], digits.forms[chosen])
    for picture in as_real(drawn_anew(some, rng)):
        yield [picture[np.newaxis]]


def _renamed(content: bytes) -> bytes:
    """Name the tensors for people instead of for the converter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(content)
        model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = INPUT_NAME.encode()
    graph.tensors[graph.outputs[0]].name = OUTPUT_NAME.encode()
    signature = model.signatureDefs[0]
    signature.inputs[0].name = INPUT_NAME.encode()
    signature.outputs[0].name = OUTPUT_NAME.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
