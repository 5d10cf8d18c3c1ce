"""Where a picture goes in a model's input, and how coordinates come back. Pure numbers, no pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inferd.records import Geometry
from inferd.wire.manifest import Resize

Roi = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a layout, in pixels.

    Attributes:
        start: where the used part of the picture begins.
        size: how long it is.
        before: bar that is put before it, at the picture's own resolution.
        after: bar that is put after it.
        to_start: where picture and bars go in the model's input.
        to_size: how long they are there.
    """

    start: int
    size: int
    before: int
    after: int
    to_start: int
    to_size: int

    def way_back(self, source: int, target: int) -> tuple[float, float]:
        """Return scale and offset from 0..1 on the model's input to 0..1 on the source picture."""
        ratio = (self.before + self.size + self.after) / self.to_size
        return target * ratio / source, (self.start - self.before - self.to_start * ratio) / source


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """How a picture is laid out on a model's input, and the way back."""

    y: Span
    x: Span
    geometry: Geometry

    @property
    def barred(self) -> bool:
        """Whether bars are put around the picture before it is resized."""
        return any((self.y.before, self.y.after, self.x.before, self.x.after))


def fit(source: tuple[int, int], target: tuple[int, int], resize: Resize, roi: Roi) -> ImageLayout:
    """Lay a picture out on a model's input.

    Args:
        source: height and width of the picture, pixels.
        target: height and width of the model's input, pixels.
        resize: "stretch" fills it; "letterbox" keeps the shape and leaves bars; "crop" keeps it and takes the centre.
        roi: the part of the picture that is used: y0, x0, y1, x1, each 0..1.
    """
    used = [_used(size, low, high) for size, low, high in zip(source, roi[:2], roi[2:], strict=True)]
    ratios = [size / wanted for (_, size), wanted in zip(used, target, strict=True)]
    if resize == "letterbox":
        spans = [_boxed(part, wanted, max(ratios)) for part, wanted in zip(used, target, strict=True)]
    elif resize == "crop":
        spans = [_cropped(part, wanted, min(ratios)) for part, wanted in zip(used, target, strict=True)]
    else:
        spans = [Span(*part, 0, 0, 0, wanted) for part, wanted in zip(used, target, strict=True)]
    y, x = spans
    return ImageLayout(y, x, Geometry(*y.way_back(source[0], target[0]), *x.way_back(source[1], target[1])))


def _used(size: int, low: float, high: float) -> tuple[int, int]:
    """Return start and size of the region of interest in whole pixels, at least one."""
    start = min(max(round(low * size), 0), size - 1)
    return start, max(min(round(high * size), size) - start, 1)


def _cropped(part: tuple[int, int], target: int, ratio: float) -> Span:
    """Take the middle that becomes `target` when `ratio` pixels become one."""
    start, size = part
    kept = max(1, min(size, round(target * ratio)))
    return Span(start + (size - kept) // 2, kept, 0, 0, 0, target)


def _boxed(part: tuple[int, int], target: int, ratio: float) -> Span:
    """Put the whole part in the middle of `target` when `ratio` pixels become one.

    Where it would begin between two pixels of the target, the rest of that pixel is added as a bar to the picture
    first: a shift by less than half a pixel cost BlazeFace 0.04 of its score (face.jpg, 0.924 to 0.888).
    """
    start, size = part
    bar = max(0.0, (target - size / ratio) / 2)
    to_start = math.floor(bar)
    to_size = max(1, target - 2 * to_start)
    before = math.floor((bar - to_start) * ratio)
    return Span(start, size, before, max(0, round(to_size * ratio) - size - before), to_start, to_size)
