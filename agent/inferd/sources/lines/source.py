"""Readings as text, one a line, cut into windows."""

from __future__ import annotations

import numpy as np

from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.foreign_text import printable
from inferd.records import Array, Frame
from inferd.sources.decoding.sliding_windows import Windows
from inferd.sources.lines.inputs import LineInput, ProgramLines, open_path
from inferd.sources.lines.text_rows import RowReader
from inferd.system.clock import Clock

MOST_DAMAGED = 100  # lines in a row; then it is something else than it should be


class TextLines:
    """Reads windows (window, columns) float32, NaN where a value is missing or not a number."""

    def __init__(self, options: settings.LinesSource, clock: Clock) -> None:
        """Open the file or device, or start the program.

        Args:
            options: the input and the format of its lines.
            clock: stamps the frames.

        Raises:
            SourceError: there is no such file, device or program.
        """
        self._part = options.path or "lines"
        self._options = options
        self._clock = clock
        self._rows = RowReader(self._part, options.format, options.columns)
        self._windows: Windows | None = None
        self._damaged = 0
        self._input = _open(options, clock)
        self.live = self._input.live
        self._over = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next window.

        Raises:
            FrameUnfinished: readings have come in `timeout_s`, not all of a window.
            SourceTimeout: nothing has.
            FrameError: a line cannot be read; the next one may be.
            EndOfInput: a file or a finite program has ended.
            SourceError: the program failed, the device is gone, or the lines are not of the configured format.
        """
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        came = False
        while True:
            left_s = max(0.0, (ends_ns - self._clock.monotonic_ns()) / 1e9)
            try:
                reading = self._next_reading(left_s)
            except SourceTimeout:
                if came or self._rows.undecided:
                    raise FrameUnfinished(self._part, "its window fills") from None
                raise
            except EndOfInput:
                return self._frame(self._last_window())
            came = True
            if reading is not None and (window := self._add(reading)) is not None:
                return self._frame(window)

    def close(self) -> None:
        """Close the file or device, or end the program. Idempotent."""
        self._input.close()

    def _next_reading(self, timeout_s: float) -> list[float] | None:
        """Return the next reading; None where a line gave none.

        Raises:
            EndOfInput: there is none any more.
        """
        if (reading := self._rows.pop()) is not None:
            return reading
        if self._over:
            raise EndOfInput(self._part, "all lines were read")
        line = self._input.read_line(timeout_s)
        try:
            if line is None:
                self._over = True
                self._rows.finish()
            else:
                self._rows.feed(line)
        except FrameError as exc:
            self._damaged += 1
            if self._damaged >= MOST_DAMAGED:
                raise SourceError(self._part, f"{exc.message}, {self._damaged} in a row; check its format") from exc
            raise
        return self._rows.pop()

    def _add(self, reading: list[float]) -> Array | None:
        self._damaged = 0
        if self._windows is None:
            self._windows = Windows(self._part, self._options.window or 1, self._options.hop, len(reading))
        return self._windows.add(np.array([reading], np.float32))

    def _last_window(self) -> Array:
        window = None if self._windows is None else self._windows.flush(np.nan)
        if window is None:
            raise EndOfInput(self._part, "all lines were read")
        return window

    def _frame(self, window: Array) -> Frame:
        assert self._windows is not None  # noqa: S101 - it gave the window
        seq, rate_hz = self._windows.given - 1, self._options.rate_hz
        recorded = not self.live and rate_hz > 0
        return Frame(
            data=window,
            seq=seq,
            taken_ns=self._clock.monotonic_ns(),
            taken_at=self._clock.wall_s(),
            origin=f"{printable(self._options.path)}#{seq}" if self._options.path else "",
            position_s=self._windows.start / rate_hz if recorded else None,
            rate_hz=rate_hz,
        )


def _open(options: settings.LinesSource, clock: Clock) -> LineInput:
    if bool(options.path) == bool(options.command):
        raise SourceError("lines", "say either path or command, where its lines come from")
    if options.path:
        return open_path(options.path, options.baud, clock)
    return ProgramLines(options.command, clock, finite=options.finite)
