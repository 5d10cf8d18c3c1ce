from __future__ import annotations

import cv2
import numpy as np
import pytest

from inferd.preprocess.image.resize import resizer
from inferd.records import Array


def stripes(height: int, width: int) -> Array:
    """Return a picture of one-pixel stripes, whose average is grey; what reads single pixels sees black or white."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, ::2] = 255
    return picture


def resized(picture: Array, chosen: str, size: tuple[int, int]) -> Array:
    out = np.empty((*size, picture.shape[2]), np.uint8)
    resizer(chosen, picture.shape[:2], size, picture.shape[2])(picture, out)  # type: ignore[arg-type]  # a name of ours
    return out


@pytest.mark.parametrize("size", [(224, 224), (128, 128), (96, 96), (300, 300), (32, 32), (7, 5)])
def test_fast_area_comes_close_to_area_on_a_photo(size: tuple[int, int], rng: np.random.Generator) -> None:
    photo = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8), (0, 0), 2)
    difference = np.abs(resized(photo, "fast_area", size).astype(int) - resized(photo, "area", size).astype(int))
    assert difference.mean() < 3


def test_fast_area_averages_what_linear_misses() -> None:
    fast, linear = (resized(stripes(480, 640), name, (64, 64)).astype(int) for name in ("fast_area", "linear"))
    assert np.abs(fast - 127).max() <= 2
    assert np.abs(linear - 127).mean() > 2 or linear.std() == 0


def test_a_picture_of_the_right_size_is_not_changed(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(resized(photo, "fast_area", (32, 32)), photo)


def test_a_picture_that_is_too_small_is_interpolated(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(resized(photo, "fast_area", (64, 64)), resized(photo, "linear", (64, 64)))


@pytest.mark.parametrize("chosen", ["fast_area", "area", "linear", "nearest", "cubic"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_filter_takes_grey_colour_and_alpha(chosen: str, channels: int, rng: np.random.Generator) -> None:
    photo = rng.integers(0, 255, (100, 90, channels), dtype=np.uint8)
    assert resized(photo, chosen, (16, 16)).std() > 0


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_fast_area_halves_no_more_than_the_shorter_ratio_allows() -> None:
    rows = np.repeat(np.arange(300) // 3 % 2 * 255, 1200).reshape(300, 1200).astype(np.uint8)
    wide = np.repeat(rows[..., None], 3, axis=2)  # stripes of three rows: half the height would blur them
    fast, area = (resized(wide, name, (240, 240)).astype(int) for name in ("fast_area", "area"))
    assert fast.std() > 0.8 * area.std()
