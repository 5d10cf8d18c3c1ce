"""Tells frames in which nothing has changed since the last one that the model saw. Pure but for that memory.

Pictures: a grid of about 80 x 60 pixels is compared with that of the last frame the model saw. It has changed where the mean
absolute difference of a tile of 8 x 8 grid pixels exceeds both `threshold` and three times the picture's noise, or where the
picture as a whole became brighter or darker by `threshold`. The noise is the difference that three quarters of the tiles
exceed, followed slowly: what moves in one place is never taken for noise. Sound and sensors: the standard deviation of each
channel, and the step of its mean, against the deviation that they have while nothing happens.

What is always seen: an object at least as large as a tile (68 x 68 of 640 x 480 pixels) that differs from what was there by more
than four times `threshold` grey levels (or twelve times the noise), wherever it lies: it covers a quarter of some tile. Smaller
or fainter changes may be seen only when `max_interval_s` is over. 75 us for 640 x 480 (x86-64, December 2026).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from inferd.config import settings
from inferd.records import Array, Frame

GRID = 60  # pixels of the shorter side that are compared
TILE = 8  # grid pixels
QUIET_SHARE = 25  # percentile of the tiles whose difference is noise
LEARN = 0.05  # share of a new difference that goes into what is remembered
LEARN_MAX = 0.5  # grey levels a frame: a sudden change is no noise
NOISE = 3.0  # times the noise is a change
QUIET_DB = 6.0  # a signal so much above what it is while nothing happens is a change
SMALLEST = 1e-9


class ChangeGate:
    """Judges the frames of one pipeline. Owned by one loop thread: it remembers the last frame that the model saw."""

    def __init__(self, options: settings.ChangeConfig, masks: Sequence[settings.MaskConfig] = ()) -> None:
        """Start with nothing seen.

        Args:
            options: limits.
            masks: those with use "change" are not looked at.
        """
        self._options = options
        self._polygons = [np.array(mask.points, np.float64) for mask in masks if mask.use == "change"]
        self._seen: Array | None = None
        self._noise: Array | None = None  # of a signal, by channel
        self._grain = 0.0  # noise of a picture, grey levels
        self._brightness: float | None = None  # of what was seen
        self._open: Array | None = None
        self._passed_ns = 0

    def passes(self, frame: Frame) -> bool:
        """Whether the model is to see a frame: a picture (h, w[, c]) uint8, a window (samples, channels) float; others always."""
        data = frame.data
        if not self._options.enabled or not isinstance(data, np.ndarray):
            return True
        waited_s = (frame.taken_ns - self._passed_ns) / 1e9
        if self._seen is not None and waited_s < self._options.min_interval_s:
            return False
        now = _grid(data) if data.dtype == np.uint8 else _moments(data)
        if self._seen is None or self._seen.shape != now.shape or waited_s >= self._options.max_interval_s:
            return self._pass(now, frame)
        changed = self._picture_changed(now) if data.dtype == np.uint8 else self._signal_changed(now)
        return self._pass(now, frame) if changed else False

    def reset(self) -> None:
        """Forget what was seen: a new model sees the next frame."""
        self._seen = None

    def _pass(self, now: Array, frame: Frame) -> bool:
        if self._seen is None or self._seen.shape != now.shape:
            self._noise = self._open = None
            self._grain = 0.0
        self._seen, self._passed_ns, self._brightness = now, frame.taken_ns, None
        return True

    def _picture_changed(self, now: Array) -> bool:
        """Compare two grids (h, w) uint8 tile by tile."""
        seen = self._seen
        assert seen is not None  # noqa: S101 - asked before
        height, width = now.shape
        tiles = (max(1, width // TILE), max(1, height // TILE))
        if self._open is None:
            self._open = self._looked_at(tiles)
        difference = cv2.resize(cv2.absdiff(now, seen), tiles, interpolation=cv2.INTER_AREA)[self._open]
        if not difference.size:
            return False
        brightness = (
            float(cv2.resize(one, tiles, interpolation=cv2.INTER_AREA)[self._open].mean()) for one in (now, seen)
        )
        brighter = abs(next(brightness) - next(brightness))
        limit = max(self._options.threshold, NOISE * self._grain)
        changed = brighter > self._options.threshold or float(difference.max()) > limit
        lowest = difference.size * QUIET_SHARE // 100
        quiet = max(0.0, float(np.partition(difference, lowest)[lowest]) - brighter)
        self._grain += min(LEARN_MAX, quiet - self._grain if quiet > self._grain else LEARN * (quiet - self._grain))
        return changed

    def _mean(self, grid: Array, tiles: tuple[int, int]) -> float:
        """Return the brightness of the tiles that are looked at."""
        return float(cv2.resize(grid, tiles, interpolation=cv2.INTER_AREA)[self._open].mean())

    def _signal_changed(self, now: Array) -> bool:
        """Compare the moments (2, channels) of two windows: deviation, and mean."""
        seen = self._seen
        assert seen is not None  # noqa: S101 - asked before
        deviation = now[0]
        noise = seen[0] if self._noise is None else self._noise
        louder = deviation > np.maximum(noise, SMALLEST) * 10 ** (QUIET_DB / 20)
        moved = np.abs(now[1] - seen[1]) > NOISE * np.maximum(noise, SMALLEST)
        if bool((louder | moved).any()):
            return True
        self._learn(deviation)
        return False

    def _learn(self, difference: Array) -> None:
        self._noise = difference if self._noise is None else self._noise + LEARN * (difference - self._noise)

    def _looked_at(self, tiles: tuple[int, int]) -> Array:
        """Return (rows, columns) bool: tiles whose middle lies in no mask."""
        width, height = tiles
        covered = np.zeros((height, width), np.uint8)
        for points in self._polygons:
            corners = np.rint(points[:, ::-1] * (width, height) - 0.5).astype(np.int32)
            cv2.fillPoly(covered, [corners], 1)
        looked_at: Array = covered == 0
        return looked_at


def _grid(picture: Array) -> Array:
    """Return about 80 x 60 grey values (h, w) uint8: every so manyth pixel, of the green channel."""
    stride = max(1, min(picture.shape[:2]) // GRID)
    sampled = picture[::stride, ::stride]
    plane = sampled if sampled.ndim == 2 else sampled[:, :, min(1, sampled.shape[2] - 1)]  # noqa: PLR2004 - a grey picture
    return np.ascontiguousarray(plane)


def _moments(window: Array) -> Array:
    """Return the standard deviation and the mean of each channel, (2, channels) float64; missing values count as 0."""
    values = np.nan_to_num(window.reshape(len(window), -1).astype(np.float64))
    return np.stack((values.std(axis=0), values.mean(axis=0)))
