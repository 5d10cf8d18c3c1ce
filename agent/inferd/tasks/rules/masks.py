"""Drops boxes that stand in an area that does not count. Rules only."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from inferd.config import settings
from inferd.records import Box, Result
from inferd.tasks.rules.zones import foot, inside


def without_ignored(result: Result, masks: Sequence[settings.MaskConfig]) -> tuple[Result, int]:
    """Return a result without the boxes that stand in a mask with use "ignore", and how many those were."""
    if not result.boxes or not masks:
        return result, 0
    kept = tuple(box for box in result.boxes if not any(_stands_in(box, mask) for mask in masks))
    dropped = len(result.boxes) - len(kept)
    return (replace(result, boxes=kept) if dropped else result), dropped


def _stands_in(box: Box, mask: settings.MaskConfig) -> bool:
    wanted = not mask.labels or box.label in mask.labels
    return mask.use == "ignore" and wanted and inside(foot(box.box, mask.anchor), mask.points)
