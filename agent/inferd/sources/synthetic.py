"""A moving test picture, made without any device; fails and stalls on demand."""

from __future__ import annotations

import numpy as np

from inferd.config import settings
from inferd.errors import EndOfInput, SourceError, SourceTimeout
from inferd.records import Array, Frame
from inferd.sources.decoding.picture_limit import check_pixels, most_pixels
from inferd.system.clock import Clock

TRAVEL_PX = 64  # how far the picture moves, and how much larger than a frame the texture is
STEP_Y_PX, STEP_X_PX = 1, 3
FPS = 30.0  # the rate that its positions stand for
LARGEST_PX = 8192


class Synthetic:
    """Makes pictures (height, width, 3) uint8 BGR from their number alone.

    Frames are read-only views into one texture, so that a frame costs a microsecond whatever its size.
    """

    live = False

    def __init__(self, options: settings.SyntheticSource, clock: Clock) -> None:
        """Paint the texture.

        Args:
            options: the size, and when to end, fail or stall.
            clock: stamps the frames, and passes the time of a stall.

        Raises:
            SourceError: the size is not one of a picture.
        """
        if not (0 < options.width <= LARGEST_PX and 0 < options.height <= LARGEST_PX):
            raise SourceError("synthetic", f"width and height must be 1 to {LARGEST_PX} pixels")
        check_pixels("synthetic", options.width, options.height, most_pixels(), SourceError)
        self._options = options
        self._clock = clock
        self._texture = _texture(options.height + TRAVEL_PX, options.width + TRAVEL_PX)
        self._seq = 0

    def read(self, timeout_s: float) -> Frame:
        """Return the next picture.

        Raises:
            EndOfInput: after `frames` pictures.
            SourceError: after `fail_after` pictures.
            SourceTimeout: after `stall_after` pictures, each time when `timeout_s` has passed.
        """
        taken_ns = self._clock.monotonic_ns()
        self._misbehave(timeout_s)
        seq = self._seq
        self._seq += 1
        y, x = _offset(seq * STEP_Y_PX), _offset(seq * STEP_X_PX)
        return Frame(
            data=self._texture[y : y + self._options.height, x : x + self._options.width],
            seq=seq,
            taken_ns=taken_ns,
            taken_at=self._clock.wall_s(),
            capture_ns=self._clock.monotonic_ns() - taken_ns,
            position_s=seq / FPS,
        )

    def close(self) -> None:
        """Do nothing: there is no device to release."""

    def _misbehave(self, timeout_s: float) -> None:
        options = self._options
        if options.frames and self._seq >= options.frames:
            raise EndOfInput("synthetic", f"all {options.frames} frames were read")
        if options.fail_after and self._seq >= options.fail_after:
            raise SourceError("synthetic", f"failed after {options.fail_after} frames, as its fail_after says")
        if options.stall_after and self._seq >= options.stall_after:
            self._clock.pause(timeout_s)
            raise SourceTimeout("synthetic", f"stalled after {options.stall_after} frames, as its stall_after says")


def _offset(way: int) -> int:
    """Return where something that goes to and fro over 0..TRAVEL_PX is after `way` pixels."""
    return TRAVEL_PX - abs(way % (2 * TRAVEL_PX) - TRAVEL_PX)


def _texture(height: int, width: int) -> Array:
    """Return a read-only (height, width, 3) uint8 picture: colour ramps with a checkerboard over them."""
    y, x = np.ogrid[:height, :width]
    texture = np.empty((height, width, 3), np.uint8)
    texture[..., 0] = x * 255 // width
    texture[..., 1] = y * 255 // height
    texture[..., 2] = ((y // 32 + x // 32) % 2) * 200 + 20
    texture.flags.writeable = False
    return texture
