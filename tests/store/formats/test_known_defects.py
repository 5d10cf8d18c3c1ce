"""Weights that an old runtime computes wrongly are seen in the file, without a runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.models.collection import model_path
from fixtures.models.tflite_writer import (
    CONV_2D,
    FLOAT32,
    FULLY_CONNECTED,
    INT2,
    INT4,
    INT8,
    UINT4,
    ModelMade,
    Numbers,
    Table,
    TensorMade,
    flatbuffer,
)
from inferd.store.formats.known_defects import hazards

MIXED = ("per-channel dynamic-range FULLY_CONNECTED weights",)


def layer(folder: Path, weights: TensorMade, activations: int = FLOAT32, operator: int = FULLY_CONNECTED) -> Path:
    """Write a model of one layer that takes activations of that type."""
    given, answer = TensorMade((1, 8), activations), TensorMade((1, 10), activations)
    file = folder / "m.tflite"
    file.write_bytes(ModelMade([given, weights], [answer], operator).content())
    return file


def weights(kind: int, channels: int) -> TensorMade:
    return TensorMade((10, 8), kind, 0.1, name="w", channels=channels)


@pytest.mark.parametrize(("kind", "name"), [(INT4, "int4"), (UINT4, "uint4"), (INT2, "int2")])
def test_packed_weights_are_named(tmp_path: Path, kind: int, name: str) -> None:
    assert hazards(layer(tmp_path, weights(kind, 1))) == (f"{name} weights",)


def test_packed_weights_are_named_in_any_layer(tmp_path: Path) -> None:
    assert hazards(layer(tmp_path, weights(INT4, 10), INT8, CONV_2D)) == ("int4 weights",)


def test_a_scale_for_each_channel_beside_float_activations_is_named(tmp_path: Path) -> None:
    assert hazards(layer(tmp_path, weights(INT8, 10))) == MIXED


@pytest.mark.parametrize(
    ("kind", "channels", "activations", "operator"),
    [
        (INT8, 1, FLOAT32, FULLY_CONNECTED),
        (INT8, 10, INT8, FULLY_CONNECTED),
        (FLOAT32, 1, FLOAT32, FULLY_CONNECTED),
        (INT8, 10, FLOAT32, CONV_2D),
    ],
    ids=["one scale", "whole int8", "float", "convolution"],
)
def test_weights_that_an_old_runtime_computes_rightly_are_not(
    tmp_path: Path, kind: int, channels: int, activations: int, operator: int
) -> None:
    assert hazards(layer(tmp_path, weights(kind, channels), activations, operator)) == ()


@pytest.mark.parametrize("inputs", [(), (0,), (0, -1), (0, 99)])
def test_a_layer_without_weights_ends_nothing(tmp_path: Path, inputs: tuple[int, ...]) -> None:
    root = ModelMade([TensorMade((1, 8))], [TensorMade((1, 10))], FULLY_CONNECTED).root()
    graphs = root.fields[2]
    assert isinstance(graphs, list)
    graphs[0].fields[3] = [Table({1: Numbers("i", inputs), 2: Numbers("i", (1,))})]
    file = tmp_path / "m.tflite"
    file.write_bytes(flatbuffer(root, b"TFL3"))
    assert hazards(file) == ()


@pytest.mark.parametrize(
    ("name", "found"), [("dynrange", MIXED), ("float", ()), ("int8", ())], ids=["dynamic range", "float", "int8"]
)
def test_what_a_converter_made_of_one_model_is_told_apart(name: str, found: tuple[str, ...]) -> None:
    assert hazards(model_path(f"own/own_digits/digits_v1_{name}")) == found
