"""What the bytes of a picture file say before they are decoded: which format, how large, whether the end is there.

OpenCV gives a half grey picture for half a JPEG, and takes a gigabyte for a small file that says it is huge; so both
are looked at first. Formats: JPEG (ITU-T T.81), PNG (W3C), BMP, WebP (RFC 9649).
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers carry the size
MOST_SEGMENTS = 4096  # of a JPEG before its scan; a real one has a few dozen
_FILL = re.compile(b"\xff+")
_JPEG_MARK = 0xFF  # begins every marker
_JPEG_SCAN = 0xDA
_JPEG_END = b"\xff\xd9"
_PNG_END = b"IEND\xaeB`\x82"  # the name of the last, empty chunk and its CRC
_DATA_MARKERS = range(0xC0, 0xFF)
_BMP_OS2_HEADER = 12  # bytes; the only header with 16-bit sizes


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """A picture's format, width and height in pixels, and whether its last byte is there."""

    format: str
    width: int
    height: int
    whole: bool


def read_header(data: bytes) -> ImageHeader | None:
    """Return what a picture file says of itself; None for an unknown format or a file that ends in its header."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
            return ImageHeader("PNG", width, height, _PNG_END in data)
        if data.startswith(b"BM"):
            return _bmp(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        pass  # the file ends inside its header
    return None


def end_of_fill(data: bytes | bytearray, at: int) -> int:
    """Return where the last of the 0xFF bytes lies that begin at `at`."""
    run = _FILL.match(data, at)
    return run.end() - 1 if run else at


def _jpeg(data: bytes) -> ImageHeader | None:
    """Walk the segments up to the first scan: a thumbnail inside one of them has an end mark of its own."""
    at, segments = 2, 0
    size: tuple[int, int] | None = None
    while data[at] == _JPEG_MARK:
        marker = data[at + 1]
        segments += 1
        if segments > MOST_SEGMENTS:
            return None
        if marker not in _DATA_MARKERS:  # fill bytes, or a marker without a body
            at = end_of_fill(data, at) if marker == _JPEG_MARK else at + 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = max(size or (0, 0), (width, height), key=math.prod)  # a second one may contradict the first
        at += 2 + length
        if marker == _JPEG_SCAN:
            break
    return ImageHeader("JPEG", *size, whole=data.find(_JPEG_END, at) >= 0) if size else None


def _bmp(data: bytes) -> ImageHeader:
    size, start, header_size = struct.unpack_from("<I4xII", data, 2)
    if header_size == _BMP_OS2_HEADER:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return ImageHeader("BMP", abs(width), abs(height), whole=len(data) >= max(size, start + 1))


def _webp(data: bytes) -> ImageHeader | None:
    (size,) = struct.unpack_from("<I", data, 4)
    whole = len(data) >= size + 8
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("WebP", width & 0x3FFF, height & 0x3FFF, whole)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, whole)
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return ImageHeader("WebP", width, height, whole)
    return None
