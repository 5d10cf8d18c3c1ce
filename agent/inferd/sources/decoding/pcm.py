"""What the bytes of sound mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inferd.records import Array

FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s24": 8388608.0, "s32": 2147483648.0}
SILENCE = 0.0
BYTES = {"u8": 1, "s16": 2, "s24": 3, "s32": 4, "f32": 4}


def decode(data: bytes | memoryview, kind: str, channels: int) -> Array:
    """Return little-endian samples as (n, channels) float32, -1..1; bytes of a last, incomplete sample are left out."""
    whole = len(data) // (BYTES[kind] * channels) * BYTES[kind] * channels
    numbers = READERS[kind](data[:whole])
    if kind in FULL_SCALE:
        numbers = (numbers / FULL_SCALE[kind]).astype(np.float32)
    return numbers.reshape(-1, channels)


def _read_24(data: bytes | memoryview) -> Array:
    """Return 24-bit numbers as int32: each becomes the upper three bytes of four, and is shifted back with its sign."""
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    shifted: Array = wide.view("<i4")[:, 0] >> 8
    return shifted


READERS: dict[str, Callable[[bytes | memoryview], Array]] = {
    "u8": lambda data: np.frombuffer(data, np.uint8) - 128.0,
    "s16": lambda data: np.frombuffer(data, "<i2"),
    "s24": _read_24,
    "s32": lambda data: np.frombuffer(data, "<i4"),
    "f32": lambda data: np.frombuffer(data, "<f4").copy(),
}
