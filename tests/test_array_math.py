from __future__ import annotations

import numpy as np
import pytest

from inferd.array_math import dequantize, quantize, saturate
from inferd.records import TensorSpec


def spec(dtype: str, scale: float, zero_point: int) -> TensorSpec:
    return TensorSpec("x", (1,), dtype, (1,), scale, zero_point)


@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 128), ("int8", -128), ("int16", 0)])
def test_every_value_survives_the_way_to_real_numbers_and_back(dtype: str, zero_point: int) -> None:
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1).astype(dtype)
    tensor = spec(dtype, 0.0078125, zero_point)
    assert np.array_equal(quantize(dequantize(values, tensor), tensor), values)


def test_values_of_a_tensor_that_is_not_quantised_stay_what_they_are() -> None:
    assert dequantize(np.array([1, 200], np.uint8), spec("uint8", 0.0, 0)).tolist() == [1.0, 200.0]


def test_numbers_beyond_the_range_stop_at_its_end() -> None:
    assert saturate(np.array([-1.0, 255.4, 256.0]), "uint8").tolist() == [0, 255, 255]
