"""What is done to each picture before anything else sees it: orientation, then privacy masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from inferd.config import settings
from inferd.records import Array

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
MIRRORS = {"horizontal": 1, "vertical": 0}
GREY = 128  # of all channels: a black area would count as a dark picture


class Adjustment:
    """Owned by one source thread."""

    def __init__(self, rotate: int, flip: str, masks: Sequence[settings.MaskConfig]) -> None:
        """Prepare.

        Args:
            rotate: degrees clockwise.
            flip: "none", "horizontal" or "vertical".
            masks: areas to fill, on the picture that is turned already.
        """
        self._rotate = rotate
        self._flip = flip
        self._polygons = [np.array(mask.points, np.float64) for mask in masks]

    def __call__(self, picture: Array) -> Array:
        """Return the picture (h, w, 3) or (h, w) uint8 turned and with its masks filled; may write into it."""
        picture = oriented(picture, self._rotate, self._flip)
        if not self._polygons:
            return picture
        if not (picture.flags.writeable and picture.flags.c_contiguous):
            picture = picture.copy()
        height, width = picture.shape[:2]
        for polygon in self._polygons:
            corners = np.round(polygon * (height, width))[:, ::-1].astype(np.int32)
            cv2.fillPoly(picture, [corners], (GREY, GREY, GREY))
        return picture


def adjustment(pipeline: settings.Pipeline) -> Callable[[Array], Array] | None:
    """Return what is to be done to each picture of a pipeline; None where nothing is."""
    rotate, flip = getattr(pipeline.source, "rotate", 0), getattr(pipeline.source, "flip", "none")
    masks = [mask for mask in pipeline.mask if mask.use == "privacy"]
    return Adjustment(rotate, flip, masks) if rotate or flip != "none" or masks else None


def oriented(picture: Array, rotate: int, flip: str) -> Array:
    """Return a picture (h, w, 3) or (h, w) uint8 turned clockwise by `rotate` degrees, then mirrored."""
    turned: Array = cv2.rotate(picture, TURNS[rotate]) if rotate else picture
    mirrored: Array = cv2.flip(turned, MIRRORS[flip]) if flip in MIRRORS else turned
    return mirrored
