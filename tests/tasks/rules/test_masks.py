from __future__ import annotations

import pytest

from inferd.config import settings
from inferd.records import Box, Result
from inferd.tasks.rules.masks import without_ignored

RIGHT = ((0.0, 0.5), (0.0, 1.0), (1.0, 1.0), (1.0, 0.5))
LEFT_BOX, RIGHT_BOX = (Box(0, "car", 0.9, (0.2, at, 0.6, at + 0.2)) for at in (0.1, 0.7))
BOTH = Result(boxes=(LEFT_BOX, RIGHT_BOX))


def test_boxes_that_stand_in_an_ignored_area_are_dropped_and_counted() -> None:
    mask = settings.MaskConfig(points=RIGHT, use="ignore")
    assert without_ignored(BOTH, [mask]) == (Result(boxes=(LEFT_BOX,)), 1)


@pytest.mark.parametrize(
    "mask",
    [
        settings.MaskConfig(points=RIGHT, use="privacy"),
        settings.MaskConfig(points=RIGHT, use="change"),
        settings.MaskConfig(points=RIGHT, use="ignore", labels=("person",)),
    ],
)
def test_other_masks_and_other_labels_drop_nothing(mask: settings.MaskConfig) -> None:
    assert without_ignored(BOTH, [mask]) == (BOTH, 0)
