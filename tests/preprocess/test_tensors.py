from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from inferd.errors import SourceError
from inferd.preprocess.tensors import TensorPreprocess
from inferd.records import Array, Frame, TensorSpec


def spec(name: str, dtype: str, shape: tuple[int, ...], scale: float = 0.0, zero_point: int = 0) -> TensorSpec:
    return TensorSpec(name, shape, dtype, shape, scale, zero_point)


def frame(data: Mapping[str, Array]) -> Frame:
    return Frame(data=data, seq=0, taken_ns=0, taken_at=0.0, origin="a.npz#0")


def filled(specs: list[TensorSpec], data: Mapping[str, Array]) -> list[Array]:
    views = [np.full(each.shape, 7, each.dtype) for each in specs]
    TensorPreprocess(specs)(frame(data), views)
    return views


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "bool", "complex64"]
)
def test_an_array_of_the_tensors_dtype_is_copied_bit_by_bit(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, (1, 4)).astype(dtype)
    assert filled([spec("x", dtype, (1, 4))], {"x": values})[0].tobytes() == values.tobytes()


def test_not_a_number_arrives_with_all_its_bits() -> None:
    values = np.array([[0x7FC00001, 0xFF800000]], np.uint32).view(np.float32)
    assert filled([spec("x", "float32", (1, 2))], {"x": values})[0].tobytes() == values.tobytes()


@pytest.mark.parametrize("key", ["serving_default_image:0", "image"])
def test_an_input_is_found_with_and_without_what_the_converter_added(key: str) -> None:
    tensor = spec("serving_default_image:0", "uint8", (1, 2))
    assert filled([tensor], {key: np.array([[1, 2]], np.uint8)})[0].tolist() == [[1, 2]]


def test_the_only_array_goes_to_the_only_input_whatever_its_name() -> None:
    assert filled([spec("x", "uint8", (1, 1))], {"arr_0": np.array([[3]], np.uint8)})[0].tolist() == [[3]]


def test_several_inputs_are_told_apart_by_name() -> None:
    specs = [spec("a", "uint8", (1,)), spec("b", "float32", (1,))]
    views = filled(specs, {"b": np.array([2], np.float32), "a": np.array([1], np.uint8)})
    assert [view.tolist() for view in views] == [[1], [2.0]]


def test_a_missing_array_is_named_with_those_there_are() -> None:
    specs = [spec("a", "uint8", (1,)), spec("serving_default_b:0", "uint8", (1,))]
    with pytest.raises(SourceError, match=r"a\.npz#0: has no array 'b' that the model wants, only a, c"):
        filled(specs, {"a": np.zeros(1, np.uint8), "c": np.zeros(1, np.uint8)})


def test_a_tensor_without_a_batch_axis_takes_a_sample_with_one() -> None:
    values = np.arange(5, dtype=np.float32)
    assert filled([spec("wave", "float32", (5,))], {"wave": values[None]})[0].tolist() == values.tolist()


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(SourceError, match=r"'x' has shape \[1, 3\], but the model takes \[1, 4\]"):
        filled([spec("x", "uint8", (1, 4))], {"x": np.zeros((1, 3), np.uint8)})


def test_real_numbers_are_quantised_by_the_tensors_own_scale() -> None:
    values = np.array([[-1.0, 0.0, 0.4999, 1.0, 99.0, -99.0, np.nan]], np.float32)
    tensor = filled([spec("x", "int8", (1, 7), scale=0.02, zero_point=-5)], {"x": values})[0]
    assert tensor.tolist() == [[-55, -5, 20, 45, 127, -128, -5]]


def test_halves_are_rounded_to_the_even_number() -> None:
    values = np.array([[0.5, 1.5, 2.5, -0.5]])
    assert filled([spec("x", "int8", (1, 4), scale=1.0)], {"x": values})[0].tolist() == [[0, 2, 2, 0]]


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8", "bool"])
def test_numbers_become_the_float_that_a_model_takes(dtype: str) -> None:
    assert filled([spec("x", "float32", (1, 2))], {"x": np.array([[0, 1]], dtype)})[0].tolist() == [[0.0, 1.0]]


def test_integers_become_smaller_integers_where_they_fit() -> None:
    assert filled([spec("x", "int32", (1, 2))], {"x": np.array([[1, -2]], np.int64)})[0].tolist() == [[1, -2]]


@pytest.mark.parametrize(
    ("dtype", "scale", "values"),
    [
        ("int32", 0.0, np.array([[1 << 40]], np.int64)),
        ("int8", 0.5, np.array([[1]], np.uint8)),  # is it a pixel, or the tensor's own number? nothing tells
        ("int32", 0.0, np.array([[1.0]])),
    ],
)
def test_numbers_that_would_be_lost_or_misread_are_refused(dtype: str, scale: float, values: Array) -> None:
    with pytest.raises(SourceError, match=rf"'x' is {values.dtype}, but the model takes {dtype}"):
        filled([spec("x", dtype, (1, 1), scale)], {"x": values})
