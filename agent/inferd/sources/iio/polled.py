"""Sensors of the kernel's Industrial I/O, read value by value.

A value is (raw + offset) * scale, or comes ready as `input`; scale and offset stand beside a channel (in_accel_x_scale) or
are shared by its kind (in_accel_scale). Kernel: Documentation/ABI/testing/sysfs-bus-iio.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from inferd.config import settings
from inferd.errors import FrameUnfinished, SourceError
from inferd.records import Frame
from inferd.sources.decoding.sliding_windows import Windows
from inferd.sources.iio.sysfs import IioChannel, find_channels
from inferd.system.clock import Clock

DEFAULT_RATE_HZ = 50.0
FASTEST_HZ = 1000.0  # one reading of one value costs tens of microseconds, and of an I2C bus more
MOST_FAILED = 10  # readings in a row without a single value; then the sensor is gone
LATE_NS = 500_000_000
VALUE_BYTES = 64


class Polled:
    """Reads windows (window, channels) float32 in the kernel's units (m/s², rad/s, milli °C); NaN where a reading failed."""

    live = True

    def __init__(self, options: settings.IioSource, clock: Clock, folder: Path) -> None:
        """Open the sensor's values.

        Args:
            options: which channels, how often.
            clock: paces the readings and stamps the frames.
            folder: where the kernel shows the sensor.

        Raises:
            SourceError: there is no such channel, or no right to read it.
        """
        self._part = options.device
        self._clock = clock
        self._rate_hz = options.rate_hz or DEFAULT_RATE_HZ
        if not 0 < self._rate_hz <= FASTEST_HZ:
            raise SourceError(self._part, f"rate_hz is {self._rate_hz:g}; value by value goes up to {FASTEST_HZ:g}")
        self._channels = find_channels(folder, options.channels)
        self._windows = Windows(self._part, options.window or 1, options.hop, len(self._channels))
        self._fds: list[int] = []
        self._open()
        self._interval_ns = round(1e9 / self._rate_hz)
        self._due_ns = clock.monotonic_ns()
        self._failed = 0

    def read(self, timeout_s: float) -> Frame:
        """Return the next window, stamped when its last reading was taken.

        Raises:
            FrameUnfinished: it is not whole after `timeout_s`.
            SourceError: it was closed, or the sensor gives no value any more.
        """
        if not self._fds:
            raise SourceError(self._part, "was closed; open it again")
        left_ns = int(timeout_s * 1e9)
        while True:
            wait_ns = max(0, self._due_ns - self._clock.monotonic_ns())
            if wait_ns > left_ns:
                self._clock.pause(left_ns / 1e9)
                raise FrameUnfinished(self._part, "its window fills")
            left_ns -= wait_ns
            self._clock.pause(wait_ns / 1e9)
            taken_ns = self._clock.monotonic_ns()
            self._due_ns = (
                taken_ns + self._interval_ns if taken_ns - self._due_ns > LATE_NS else self._due_ns + self._interval_ns
            )
            window = self._windows.add(np.array([self._reading()], np.float32))
            if window is not None:
                return Frame(
                    data=window,
                    seq=self._windows.given - 1,
                    taken_ns=taken_ns,
                    taken_at=self._clock.wall_s(),
                    capture_ns=self._clock.monotonic_ns() - taken_ns,
                    rate_hz=self._rate_hz,
                )

    def close(self) -> None:
        """Close the sensor's files. Idempotent."""
        while self._fds:
            os.close(self._fds.pop())

    def _open(self) -> None:
        try:
            for channel in self._channels:
                self._fds.append(os.open(channel.file, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as exc:
            self.close()
            raise SourceError(
                self._part, f"{channel.file.name} cannot be opened ({exc.strerror}); check its rights"
            ) from exc

    def _reading(self) -> list[float]:
        """Return one value for each channel; NaN for one that fails, as an I2C bus does now and then.

        Raises:
            SourceError: none of them has had a value for long.
        """
        values = [_value(fd, channel) for fd, channel in zip(self._fds, self._channels, strict=True)]
        self._failed = self._failed + 1 if all(map(math.isnan, values)) else 0
        if self._failed >= MOST_FAILED:
            raise SourceError(
                self._part, f"has given no value {self._failed} times in a row; check that it is plugged in"
            )
        return values


def _value(fd: int, channel: IioChannel) -> float:
    try:
        return (float(os.pread(fd, VALUE_BYTES, 0)) + channel.offset) * channel.scale
    except (OSError, ValueError):
        return math.nan
