"""Whether a recording is whole, by the head of its file.

RIFF (AVI, WAV) states its length in bytes 4 to 8; MP4 (ISO 14496-12) is a chain of boxes, each with its length, and cannot be
opened without the box "moov".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

RIFF_HEAD = 8
MP4_BRANDS = b"ftyp"
BOXES_MAX = 1000
UNKNOWN_LENGTH = (0, 0xFFFFFFFF)  # a recorder that writes to a pipe leaves these


def truncated(file: Path) -> str:
    """Return what is wrong with a recording's length, as the end of a sentence; "" where nothing is or can be told.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(RIFF_HEAD)
        if not size:
            return "is empty"
        if head[:4] == b"RIFF":
            stated = int.from_bytes(head[4:8], "little")
            missing = stated + RIFF_HEAD - size
            return f"lacks its last {missing:,} bytes" if stated not in UNKNOWN_LENGTH and missing > 1 else ""
        return _boxes(stream, size) if head[4:8] == MP4_BRANDS else ""


def _boxes(stream: BinaryIO, size: int) -> str:
    """Walk the boxes of an MP4 file."""
    at, kinds = 0, set()
    for _ in range(BOXES_MAX):
        if at + RIFF_HEAD > size:
            break
        stream.seek(at)
        head = stream.read(16)
        length = int.from_bytes(head[:4], "big")
        kinds.add(head[4:8])
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:
            return ""  # this box reaches to the end of the file
        if length < RIFF_HEAD:
            return "is damaged"
        at += length
    if at > size:
        return f"lacks its last {at - size:,} bytes"
    return "" if b"moov" in kinds else "was not closed by its recorder (it has no index)"
