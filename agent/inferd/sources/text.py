"""Readings as text, one a line, from a file or from a program that prints them."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.foreign_text import printable
from inferd.records import Array, Frame
from inferd.sources.decoding.child_program import Program
from inferd.sources.decoding.sliding_windows import Windows
from inferd.sources.decoding.text_rows import RowReader
from inferd.system.clock import Clock

LONGEST_LINE_BYTES = 1 << 16
MOST_DAMAGED = 100  # lines in a row; then it is something else than it should be


class TextLines:
    """Reads windows (window, columns) float32, NaN where a value is missing or not a number."""

    def __init__(self, options: settings.LinesSource, clock: Clock) -> None:
        """Open the file or start the program.

        Args:
            options: which, and what its lines hold.
            clock: stamps the frames.

        Raises:
            SourceError: there is no such file or program.
        """
        self._part = options.path or "lines"
        self._options = options
        self._clock = clock
        self._rows = RowReader(self._part, options.format, options.columns)
        self._windows: Windows | None = None
        self._damaged = 0
        self._text = _open(options, clock)
        self.live = not options.path and not options.finite
        self._over = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next window.

        Raises:
            FrameUnfinished: readings have come in `timeout_s`, not all of a window.
            SourceTimeout: nothing has.
            FrameError: a line cannot be read; the next one may be.
            EndOfInput: a file, or a finite program, is through.
            SourceError: the program has ended otherwise, or prints something else than it should.
        """
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        came = False
        while True:
            left_s = max(0.0, (ends_ns - self._clock.monotonic_ns()) / 1e9)
            try:
                line = self._text.read_line(left_s)
            except SourceTimeout:
                if came:
                    raise FrameUnfinished(self._part, "its window fills") from None
                raise
            window = self._flush() if line is None else self._add(line)
            if window is not None:
                return self._frame(window)
            came = True

    def close(self) -> None:
        """Close the file, or end the program. Idempotent."""
        self._text.close()

    def _add(self, line: str) -> Array | None:
        try:
            numbers = self._rows.parse(line)
        except FrameError as exc:
            self._damaged += 1
            if self._damaged >= MOST_DAMAGED:
                raise SourceError(self._part, f"{exc.message}, {self._damaged} in a row; check its format") from exc
            raise
        if numbers is None:
            return None
        self._damaged = 0
        if self._windows is None:
            self._windows = Windows(self._part, self._options.window or 1, self._options.hop, len(numbers))
        return self._windows.add(np.array([numbers], np.float32))

    def _flush(self) -> Array:
        over, self._over = self._over, True
        window = None if over or self._windows is None else self._windows.flush(np.nan)
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


class Text(Protocol):
    """Where lines come from."""

    def read_line(self, timeout_s: float) -> str | None:
        """Return the next line; None after the last.

        Raises:
            SourceTimeout: none came.
            SourceError: there will be no more, and that is not as it should be.
        """

    def close(self) -> None:
        """Release it. Idempotent."""


class _File:
    """The lines of a file."""

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise SourceError(path, "no such file; check the path")
        try:
            self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 - the source closes it
        except OSError as exc:
            raise SourceError(path, f"cannot be read ({exc.strerror}); check its permissions") from exc

    def read_line(self, timeout_s: float) -> str | None:  # noqa: ARG002 - a file is read, not waited for
        if self._file.closed:
            raise SourceError(self._file.name, "was closed; open it again")
        data = self._file.readline(LONGEST_LINE_BYTES)
        return data.decode("utf-8-sig", errors="replace") if data else None

    def close(self) -> None:
        self._file.close()


class _Printed:
    """The lines that a program prints."""

    def __init__(self, command: tuple[str, ...], clock: Clock, *, finite: bool) -> None:
        self._program = Program(command, clock)
        self._finite = finite
        self._held = bytearray()
        self._chunk = bytearray(LONGEST_LINE_BYTES)

    def read_line(self, timeout_s: float) -> str | None:
        while (end := self._held.find(b"\n")) < 0 and len(self._held) < LONGEST_LINE_BYTES:
            count = self._program.read_into(memoryview(self._chunk), timeout_s)
            self._held += memoryview(self._chunk)[:count]
            if not count:
                return self._last()
        cut = end + 1 if end >= 0 else LONGEST_LINE_BYTES
        line = self._held[:cut].decode(errors="replace")
        del self._held[:cut]
        return line

    def close(self) -> None:
        self._program.close()

    def _last(self) -> str | None:
        if self._held:
            line = self._held.decode(errors="replace")
            self._held.clear()
            return line
        ended = self._program.ended()
        if self._finite and ended is not None and ended.ok:
            return None
        raise SourceError(self._program.name, self._program.exit_summary(ended))


def _open(options: settings.LinesSource, clock: Clock) -> Text:
    if bool(options.path) == bool(options.command):
        raise SourceError("lines", "say either path or command, where its lines come from")
    if options.path:
        return _File(options.path)
    return _Printed(options.command, clock, finite=options.finite)
