from __future__ import annotations

import numpy as np
import pytest

from inferd.tasks.postprocess.scores import activate, best, sigmoid


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_best_are_those_that_sorting_gives(dtype: str, count: int) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 10, 1001):
        values = rng.integers(-100 if dtype != "uint8" else 0, 100, size).astype(dtype)
        expected = np.lexsort((np.arange(size), -values.astype(np.float64)))[:count]
        assert best(values, count).tolist() == expected.tolist()


def test_among_equals_the_lower_index_is_first() -> None:
    assert best(np.array([0, 7, 7, 0, 7], np.uint8), 2).tolist() == [1, 2]


def test_not_a_number_is_never_among_the_best() -> None:
    assert best(np.array([np.nan, 0.1, np.nan, 0.2], np.float32), 3).tolist() == [3, 1]


def test_nothing_has_no_best() -> None:
    assert best(np.empty(0, np.float32), 3).tolist() == []


def test_softmax_of_large_numbers_is_finite_and_sums_to_one() -> None:
    scores = activate(np.array([1000.0, 1000.0, -1000.0], np.float32), "softmax")
    assert scores.tolist() == [0.5, 0.5, 0.0]


@pytest.mark.filterwarnings("error")
def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e9, 0.0, 1e9], np.float32)).tolist() == pytest.approx([0.0, 0.5, 1.0])
