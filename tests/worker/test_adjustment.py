from __future__ import annotations

import numpy as np
import pytest

from fixtures.agents.fake_pipeline import pipeline
from inferd.config import settings
from inferd.records import Array
from inferd.worker.opened_source import GREY, Adjustment, adjustment, oriented

CORNERS = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)


@pytest.mark.parametrize(
    ("rotate", "flip", "expected"),
    [
        (0, "none", [[1, 2, 3], [4, 5, 6]]),
        (90, "none", [[4, 1], [5, 2], [6, 3]]),
        (180, "none", [[6, 5, 4], [3, 2, 1]]),
        (270, "none", [[3, 6], [2, 5], [1, 4]]),
        (0, "horizontal", [[3, 2, 1], [6, 5, 4]]),
        (0, "vertical", [[4, 5, 6], [1, 2, 3]]),
        (90, "horizontal", [[1, 4], [2, 5], [3, 6]]),
    ],
)
def test_pictures_are_turned_clockwise_and_then_mirrored(rotate: int, flip: str, expected: list[list[int]]) -> None:
    assert oriented(CORNERS, rotate, flip).tolist() == expected
    colour = np.stack([CORNERS] * 3, axis=2)
    assert oriented(colour, rotate, flip)[..., 1].tolist() == expected


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3)])
@pytest.mark.parametrize("readable_only", [True, False])
def test_a_privacy_mask_is_filled_and_nothing_else(shape: tuple[int, ...], *, readable_only: bool) -> None:
    picture = np.full(shape, 7, np.uint8)
    picture.flags.writeable = not readable_only
    right_half = settings.MaskConfig(points=((0.0, 0.5), (0.0, 1.0), (1.0, 1.0), (1.0, 0.5)))
    covered = Adjustment(0, "none", [right_half])(picture)
    assert (covered[:, 31:] == GREY).all()
    assert (covered[:, :29] == 7).all()
    assert not readable_only or (picture == 7).all()


def test_a_mask_lies_on_the_picture_that_is_turned_already() -> None:
    def top_left(picture: Array) -> int:
        return int(picture[0, 0])

    mask = settings.MaskConfig(points=((0.0, 0.0), (0.0, 0.2), (0.2, 0.2), (0.2, 0.0)))
    turned = Adjustment(180, "none", [mask])(np.zeros((50, 50), np.uint8))
    assert top_left(turned) == GREY


def test_a_pipeline_without_any_costs_nothing() -> None:
    ignoring = settings.MaskConfig(points=((0.0, 0.0), (0.0, 0.2), (0.2, 0.2)), use="ignore")
    assert adjustment(pipeline(mask=(ignoring,))) is None
    assert adjustment(pipeline(source=settings.V4l2Source(rotate=180))) is not None
