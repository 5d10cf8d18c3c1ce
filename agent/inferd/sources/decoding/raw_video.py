"""What the bytes of raw pictures mean."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from inferd.errors import SourceError
from inferd.records import Array, ColorOrder
from inferd.sources.decoding.buffer_pool import BufferPool
from inferd.sources.decoding.picture_limit import check_pixels, most_pixels

LARGEST_PX = 8192  # each side


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How one picture lies in bytes: the shape of its array for height 1 and width 1, and the order of its colours."""

    order: ColorOrder
    channels: int
    rows_of_two: int = 2  # rows of bytes for two rows of pixels: YUV 4:2:0 has one more


FORMATS = {
    "bgr": RawFormat("bgr", 3),
    "rgb": RawFormat("rgb", 3),
    "gray": RawFormat("gray", 1),
    "yuv420": RawFormat("bgr", 1, rows_of_two=3),
}


class RawPictures:
    """Puts bytes together to pictures of one size. Owned by one source thread; its pictures may be kept."""

    def __init__(self, kind: str, width: int, height: int) -> None:
        """Make room.

        Args:
            kind: one of FORMATS.
            width: pixels; even for yuv420.
            height: pixels; even for yuv420.

        Raises:
            SourceError: there are no such pictures.
        """
        self._format = FORMATS[kind]
        self._check(kind, width, height)
        rows = height * self._format.rows_of_two // 2
        shape = (rows, width) if self._format.channels == 1 else (rows, width, self._format.channels)
        self._raw = BufferPool(shape)
        self._decoded = BufferPool((height, width, 3)) if self._planar else None
        self._filling = self._raw.acquire()
        self._have = 0

    @property
    def order(self) -> ColorOrder:
        """The order of the pictures' colours."""
        return self._format.order

    @property
    def begun(self) -> int:
        """How many bytes of the next picture there are."""
        return self._have

    def free_buffer(self) -> memoryview:
        """Return where the next bytes belong."""
        return self._filling.data.cast("B")[self._have :]

    def commit(self, count: int) -> Array | None:
        """Say that so many bytes were put there; return the picture (h, w, 3) or (h, w) uint8 where it is whole now."""
        self._have += count
        if self._have < self._filling.nbytes:
            return None
        raw = self._filling
        picture = (
            raw if self._decoded is None else cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_I420, dst=self._decoded.acquire())
        )
        if self._decoded is None:
            self._filling = self._raw.acquire()
        self._have = 0
        return picture

    @property
    def _planar(self) -> bool:
        return self._format.rows_of_two > 2  # noqa: PLR2004 - two is a row for a row

    def _check(self, kind: str, width: int, height: int) -> None:
        if not (0 < width <= LARGEST_PX and 0 < height <= LARGEST_PX):
            remedy = f"say width and height, 1 to {LARGEST_PX} pixels; raw bytes do not tell them"
            raise SourceError("command", f"its pictures have {width} x {height} pixels; {remedy}")
        check_pixels("command", width, height, most_pixels(), SourceError)
        if self._planar and (width % 2 or height % 2):
            raise SourceError("command", f"{kind} wants even numbers of pixels, not {width} x {height}")
