"""Turns and mirrors pictures of a camera that hangs upside down or on its side. Pure."""

from __future__ import annotations

import cv2

from inferd.records import Array

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
MIRRORS = {"horizontal": 1, "vertical": 0}


def oriented(picture: Array, rotate: int, flip: str) -> Array:
    """Return a picture (h, w, 3) or (h, w) uint8 turned clockwise by `rotate` degrees, then mirrored."""
    turned: Array = cv2.rotate(picture, TURNS[rotate]) if rotate else picture
    mirrored: Array = cv2.flip(turned, MIRRORS[flip]) if flip in MIRRORS else turned
    return mirrored
