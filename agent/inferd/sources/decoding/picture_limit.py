"""How large a picture may be on this board, checked before it is decoded: a small file may claim a huge picture."""

from __future__ import annotations

from inferd.errors import SourceError
from inferd.system.memory import limit_bytes

BYTES_A_PIXEL = 3  # decoded to BGR; a progressive JPEG takes up to three times that while it is decoded
SHARE = 1 / 16  # of the memory for one decoded picture; a source has up to four of them in flight
FEWEST, MOST = 2_100_000, 100_000_000  # pixels: 1920 x 1088 always, never more than 300 MB
UNKNOWN_BYTES = 1 << 30


def most_pixels(memory_bytes: int | None = None) -> int:
    """Return how many pixels a picture may have on a board with so much memory; None asks the board.

    With 512 MB these are 11 million (4K has 8), with 4 GB 89 million.
    """
    known = (limit_bytes() if memory_bytes is None else memory_bytes) or UNKNOWN_BYTES
    return round(min(max(known * SHARE / BYTES_A_PIXEL, FEWEST), MOST))


def check_pixels(part: str, width: int, height: int, most: int, error: type[SourceError]) -> None:
    """Refuse a picture that is too large for this board.

    Args:
        part: named in the error.
        width: pixels that its header claims.
        height: as `width`.
        most: pixels that are allowed.
        error: what is raised.

    Raises:
        SourceError: of the given type.
    """
    if width * height > most:
        allowed = f"more than the {most / 1e6:.1f} million that this board has memory for"
        raise error(part, f"has pictures of {width} x {height} pixels, {allowed}; make them smaller")
