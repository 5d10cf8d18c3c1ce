"""Sensors of the kernel's Industrial I/O, read from their buffer: evenly, and as fast as the sensor samples."""

from __future__ import annotations

import os
import select
from pathlib import Path

import numpy as np

from inferd.config import settings
from inferd.errors import FrameUnfinished, SourceError, SourceTimeout
from inferd.records import Array, Frame
from inferd.sources.decoding.sliding_windows import Windows
from inferd.sources.iio import buffer_setup
from inferd.sources.iio.buffer_setup import NoBuffer
from inferd.sources.iio.scan_layout import decode
from inferd.system.clock import Clock

LATE = 3.0  # intervals between two scans after which it is silent
SLOWEST_S = 1.0  # whatever the rate, for as long nobody worries


class Buffered:
    """Reads windows (window, numbers) float32 in the kernel's units. Nothing is missing in them: what fails, ends it."""

    live = True

    def __init__(self, options: settings.IioSource, clock: Clock, folder: Path, node: Path) -> None:
        """Set the buffer up, start it and open it.

        Args:
            options: which channels, how fast.
            clock: stamps the frames.
            folder: where the kernel shows the sensor.
            node: where it gives what it reads.

        Raises:
            NoBuffer: it cannot be read in this way, and why.
            SourceError: the options make no window.
        """
        self._part = options.device
        self._clock = clock
        self._folder = folder
        window = options.window or 1
        hop = options.hop or window
        self._scan = buffer_setup.set_up(folder, options.channels, options.rate_hz, hop, options.trigger)
        self._windows = Windows(self._part, window, options.hop, self._scan.columns)
        self._fd = _open(node)
        try:
            buffer_setup.start(folder)
        except NoBuffer:
            self.close()
            raise
        self._late_s = max(SLOWEST_S, LATE / self._scan.rate_hz)
        self._heard_ns = clock.monotonic_ns()
        self._part_read = b""

    def read(self, timeout_s: float) -> Frame:
        """Return the next window, stamped when its last readings came out of the buffer.

        Raises:
            FrameUnfinished: it is not whole after `timeout_s`.
            SourceTimeout: the sensor gives nothing.
            SourceError: it was closed, or is gone.
        """
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        while True:
            started_ns = self._clock.monotonic_ns()
            readings = self._readings(max(0.0, (ends_ns - started_ns) / 1e9))
            if len(readings):
                self._heard_ns = self._clock.monotonic_ns()
                window = self._windows.add(readings)
                if window is not None:
                    return self._frame(window, started_ns)
            elif self._clock.monotonic_ns() - self._heard_ns > self._late_s * 1e9:
                raise SourceTimeout(self._part, "its buffer stays empty; see that its trigger runs")
            else:
                raise FrameUnfinished(self._part, "its window fills from its buffer")

    def close(self) -> None:
        """Stop the buffer and let go of it. Idempotent."""
        if self._fd >= 0:
            buffer_setup.stop(self._folder)
            os.close(self._fd)
            self._fd = -1

    def _frame(self, window: Array, started_ns: int) -> Frame:
        return Frame(
            data=window,
            seq=self._windows.given - 1,
            taken_ns=self._heard_ns,
            taken_at=self._clock.wall_s(),
            capture_ns=self._heard_ns - started_ns,
            rate_hz=self._scan.rate_hz,
        )

    def _readings(self, timeout_s: float) -> Array:
        """Return what is there, no more than the window lacks, as (n, numbers) float64; none where none came in time.

        Raises:
            SourceError: it was closed, or is gone.
        """
        if self._fd < 0:
            raise SourceError(self._part, "was closed; open it again")
        size = self._scan.size
        wanted = self._windows.needed * size - len(self._part_read)
        try:
            there, _, _ = select.select([self._fd], [], [], timeout_s)
            got = os.read(self._fd, wanted) if there else None
        except BlockingIOError:
            got = None
        except OSError as exc:
            raise SourceError(self._part, f"is gone ({exc.strerror}); check that it is plugged in") from exc
        if got == b"":
            raise SourceError(self._part, "its buffer has ended; check that it is plugged in")
        octets = self._part_read + (got or b"")
        whole = len(octets) // size * size
        self._part_read = octets[whole:]
        return decode(octets[:whole], size, self._scan.places) if whole else np.empty((0, self._scan.columns))


def _open(node: Path) -> int:
    try:
        return os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise NoBuffer(f"{node} cannot be opened ({exc.strerror})") from exc
