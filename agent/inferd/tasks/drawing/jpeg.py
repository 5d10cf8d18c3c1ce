"""A picture in few bytes, to be sent to somebody far away. Not part of the loop."""

from __future__ import annotations

import cv2

from inferd.records import Array

LONGEST_SIDE = 640
SHORTEST_SIDE = 16  # of the longer side; a picture of so few points fits anywhere
QUALITIES = (85, 65, 45)


def jpeg(picture: Array, most_bytes: int) -> bytes:
    """Return a picture as a JPEG of at most `most_bytes`: of less quality, then smaller, where it would have more.

    Args:
        picture: (h, w, 3) uint8 BGR or (h, w) uint8.
        most_bytes: at least 1,000.
    """
    side = LONGEST_SIDE
    while side > SHORTEST_SIDE:
        small = _at_most(picture, side)
        for quality in QUALITIES:
            encoded, content = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, quality))
            if encoded and len(content) <= most_bytes:
                return content.tobytes()
        side = side * 3 // 4
    return b""


def _at_most(picture: Array, side: int) -> Array:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Array = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small
