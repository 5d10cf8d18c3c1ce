"""Single JPEGs of cameras and programs: upright, and no larger than is allowed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fixtures.paths import TESTS
from inferd.errors import FrameError
from inferd.sources.decoding.mjpeg import decode_jpeg

TURNED = TESTS / "tasks" / "models" / "heads" / "exif6.jpg"


def test_a_picture_stands_upright_as_its_exif_orientation_says() -> None:
    content = TURNED.read_bytes()
    stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert stored is not None
    assert np.array_equal(decode_jpeg("cam", content, 1 << 20), np.rot90(stored, -1))


@pytest.mark.parametrize("cut", [0, 10, 300])
def test_a_damaged_picture_is_one_lost_frame(cut: int) -> None:
    with pytest.raises(FrameError):
        decode_jpeg("cam", TURNED.read_bytes()[:cut], 1 << 20)


def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(FrameError):
        decode_jpeg("cam", TURNED.read_bytes(), 100)
