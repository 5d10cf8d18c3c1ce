"""A picture for somebody far away has at most so many bytes, whatever is on it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inferd.tasks.drawing.jpeg import LONGEST_SIDE, jpeg

NOISE = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)


def size(content: bytes) -> tuple[int, ...]:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return tuple(picture.shape)


@pytest.mark.parametrize("most_bytes", [34_000, 5_000, 1_000])
def test_even_noise_fits(most_bytes: int) -> None:
    content = jpeg(NOISE, most_bytes)
    assert 0 < len(content) <= most_bytes
    assert max(size(content)) <= LONGEST_SIDE


def test_a_plain_picture_keeps_its_shape_and_is_no_larger_than_needed() -> None:
    assert size(jpeg(np.full((960, 1280, 3), 90, np.uint8), 34_000)) == (480, LONGEST_SIDE, 3)


def test_a_small_picture_is_not_blown_up() -> None:
    assert size(jpeg(np.zeros((24, 32), np.uint8), 34_000)) == (24, 32)
