from __future__ import annotations

import msgspec
import numpy as np
import pytest

from fixtures.models.descriptions import describe, engine_info
from inferd.records import Array, Geometry, OutputTensor, TensorSpec
from inferd.tasks.raw import Raw, plain


def outputs_of(*values: Array) -> tuple[OutputTensor, ...]:
    specs = [TensorSpec(f"out{n}", value.shape, value.dtype.name) for n, value in enumerate(values)]
    outputs = Raw(describe(), engine_info([], specs)).decode(values, Geometry()).outputs
    assert outputs is not None
    return outputs


def test_every_output_comes_with_its_name_shape_and_dtype() -> None:
    found = outputs_of(np.array([[1, 2]], np.uint8), np.array([0.5], np.float32))
    assert found == (OutputTensor("out0", (1, 2), "uint8", [[1, 2]]), OutputTensor("out1", (1,), "float32", [0.5]))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "float16", "float32", "float64", "bool"])
def test_values_survive_json_bit_for_bit(dtype: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(dtype)
    again = np.array(msgspec.json.decode(msgspec.json.encode(plain(values))), dtype)
    assert again.tobytes() == values.tobytes()


def test_numbers_that_json_does_not_know_become_null() -> None:
    assert msgspec.json.encode(plain(np.array([[np.nan, 1.5], [np.inf, -np.inf]], np.float32))) == (
        b"[[null,1.5],[null,null]]"
    )


def test_complex_numbers_are_pairs() -> None:
    assert plain(np.array([1 + 2j], np.complex64)) == [[1.0, 2.0]]


def test_texts_are_texts() -> None:
    assert plain(np.array([[b"cat", b"\xff"]], object)) == [["cat", "\ufffd"]]


def test_a_tensor_too_large_to_carry_has_no_values() -> None:
    assert plain(np.zeros(1_000_001, np.uint8)) is None


def test_a_scalar_is_a_number() -> None:
    assert plain(np.array(3, np.int32)) == 3
