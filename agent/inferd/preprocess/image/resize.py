"""How pixels are mixed when a picture is resized: OpenCV's filters, and one that is nearly "area" at a quarter of its time.

OpenCV averages over areas of any size in one thread of plain code; only the average of 2 x 2 pixels is fast, and linear
interpolation is, but that reads four pixels however much it shrinks. `fast_area` is made of these two: 2 x 2 averages until
the picture is less than 3.5 times too large, linear to twice the target, and a last 2 x 2 average. What it costs and what it
changes is measured in docs/models.md.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from inferd.records import Array
from inferd.wire.manifest import Filter

INTERPOLATIONS = {
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
}
HALVE_FROM = 3.5  # times too large: what is left for linear then lies between 1.75 and 3.5, and it reads all it must
PLAIN_UP_TO = 1.5  # times too large: linear alone misses next to nothing

Size = tuple[int, int]
Resizer = Callable[[Array, Array], object]
"""Resizes the first picture, (h, w, c) uint8, into the second."""


def resizer(chosen: Filter, source: Size, target: Size, channels: int) -> Resizer:
    """Return what resizes pictures of `source` (height, width) to `target` (height, width), keeping its scratch arrays."""
    if chosen != "fast_area":
        return _plain(INTERPOLATIONS[chosen], target)
    sizes = _halvings(source, target)
    last = sizes[-1] if sizes else source
    if _times_too_large(last, target) <= PLAIN_UP_TO:
        steps = [*((cv2.INTER_AREA, size) for size in sizes), (cv2.INTER_LINEAR, target)]
    else:
        double = (target[0] * 2, target[1] * 2)
        halvings = [(cv2.INTER_AREA, size) for size in sizes]
        steps = [*halvings, (cv2.INTER_LINEAR, double), (cv2.INTER_AREA, target)]
    return _chain(steps, channels)


def _halvings(source: Size, target: Size) -> list[Size]:
    """Return the sizes that a picture takes while it is halved."""
    sizes: list[Size] = []
    while _times_too_large(source, target) >= HALVE_FROM:
        source = (source[0] // 2, source[1] // 2)
        sizes.append(source)
    return sizes


def _times_too_large(source: Size, target: Size) -> float:
    return min(source[0] / target[0], source[1] / target[1])


def _plain(interpolation: int, target: Size) -> Resizer:
    size = target[::-1]

    def resize(picture: Array, out: Array) -> None:
        cv2.resize(picture, size, dst=out, interpolation=interpolation)

    return resize


def _chain(steps: list[tuple[int, Size]], channels: int) -> Resizer:
    """Return one pass after the other, with an array between each two."""
    between = [np.empty((*size, channels), np.uint8) for _, size in steps[:-1]]
    passes = [_plain(interpolation, size) for interpolation, size in steps]

    def resize(picture: Array, out: Array) -> None:
        for each, result in zip(passes, (*between, out), strict=True):
            each(picture, result)
            picture = result

    return resize
