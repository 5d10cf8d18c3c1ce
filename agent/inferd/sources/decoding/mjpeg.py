"""Cuts a stream of bytes into JPEGs, whatever stands between them: multipart headers, boundaries, nothing.

A JPEG is walked segment by segment to its scan, for a thumbnail in a segment has an end mark of its own (ITU-T T.81, B.1.1).
Within a scan a start mark cannot occur, so one that does says that the picture before it was cut off.
"""

from __future__ import annotations

import cv2
import numpy as np

from inferd.errors import FrameError
from inferd.records import Array
from inferd.sources.decoding.image_header import MOST_SEGMENTS, end_of_fill, read_header
from inferd.sources.decoding.picture_limit import check_pixels

LARGEST_BYTES = 16 << 20
START, END, SCAN = b"\xff\xd8\xff", b"\xff\xd9", 0xDA
MARK = 0xFF


class MjpegReader:
    """Owned by one source thread. What is fed is kept only until its picture is taken: 16 MiB at the most."""

    def __init__(self, part: str) -> None:
        """Begin empty.

        Args:
            part: named in errors.
        """
        self._part = part
        self._held = bytearray()
        self._at = 0  # where the walk through the present picture stands; 0 before its start mark is found
        self._in_scan = False
        self._segments = 0
        self._strange = 0

    @property
    def begun(self) -> bool:
        """Whether a picture has begun and is not whole."""
        return self._at > 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take bytes as they came."""
        self._held += data

    def pop_jpeg(self) -> bytes | None:
        """Return the next whole JPEG; None until more is fed.

        Raises:
            FrameError: a picture was cut off in its middle, is larger than 16 MiB, or so many bytes hold none at all; the
                next call goes on behind it.
        """
        if not self._at and not self._find_start():
            return None
        while not self._in_scan:
            if not self._walk():
                self._check_size()
                return None
        return self._end_scan()

    def _find_start(self) -> bool:
        found = self._held.find(START)
        strange = found if found >= 0 else max(0, len(self._held) - len(START) + 1)
        del self._held[:strange]
        self._strange += strange
        if found >= 0:
            self._at, self._strange = 2, 0
            return True
        if self._strange > LARGEST_BYTES:
            self._strange = 0
            raise FrameError(self._part, f"gave {LARGEST_BYTES >> 20} MiB without a JPEG in them; check its format")
        return False

    def _walk(self) -> bool:
        """Step over one segment; False where more bytes are needed."""
        head = self._held[self._at : self._at + 4]
        if len(head) < 4:  # noqa: PLR2004 - a marker and a length, two bytes each
            return False
        if head[0] != MARK:
            self._drop(self._at)
            raise FrameError(self._part, "gave what begins like a JPEG and is none")
        if head[1] == MARK:  # fill bytes, of which there may be millions
            self._at = end_of_fill(self._held, self._at)
            return True
        self._segments += 1
        if self._segments > MOST_SEGMENTS:
            self._drop(self._at)
            raise FrameError(self._part, f"gave a JPEG of more than {MOST_SEGMENTS} segments")
        self._in_scan = head[1] == SCAN
        self._at += 2 + (head[2] << 8 | head[3])
        return True

    def _end_scan(self) -> bytes | None:
        end = self._held.find(END, self._at)
        cut = self._held.find(START, self._at, end if end >= 0 else len(self._held))
        if cut >= 0:
            self._drop(cut)
            raise FrameError(self._part, "a JPEG was cut off in its middle")
        if end < 0:
            self._at = max(self._at, len(self._held) - len(START) + 1)
            self._check_size()
            return None
        whole = bytes(self._held[: end + len(END)])
        self._drop(end + len(END))
        return whole

    def _check_size(self) -> None:
        if len(self._held) > LARGEST_BYTES:
            self._drop(len(self._held))
            raise FrameError(self._part, f"a JPEG is larger than {LARGEST_BYTES >> 20} MiB; ask for a smaller picture")

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self._at, self._in_scan, self._segments = 0, False, 0


def decode_jpeg(part: str, jpeg: bytes, most_pixels: int) -> Array:
    """Return the picture (h, w, 3) uint8 BGR, upright as its EXIF orientation says.

    Raises:
        FrameError: it is damaged, or its header claims more than `most_pixels`.
    """
    header = read_header(jpeg)
    if header is None:
        raise FrameError(part, "gave a JPEG without a size in it")
    check_pixels(part, header.width, header.height, most_pixels, FrameError)
    try:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # its text is a line of C++ source
        picture = None
    if picture is None:
        raise FrameError(part, "gave a JPEG that cannot be decoded")
    return picture
