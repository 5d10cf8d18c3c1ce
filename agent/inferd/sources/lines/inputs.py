"""Where lines come from: a file, a device that goes on giving them, or a program that prints them."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from inferd.errors import SourceError, SourceTimeout
from inferd.sources.decoding.child_program import Program
from inferd.sources.lines.serial_port import set_up
from inferd.system.clock import Clock

LONGEST_LINE_BYTES = 1 << 16
NO_WRITER_S = 0.1  # between two looks at a FIFO into which nobody writes


class LineInput(Protocol):
    """Gives lines, oldest first. Owned by one source thread."""

    live: bool
    """Whether lines come when the world makes them."""

    def read_line(self, timeout_s: float) -> str | None:
        """Return the next line; None after the last.

        Raises:
            SourceTimeout: none came.
            SourceError: there will be no more, and that is a fault.
        """

    def close(self) -> None:
        """Release it. Idempotent."""


class FileLines:
    """The lines of a file."""

    live = False

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            OSError: it cannot be opened.
        """
        self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 - the source closes it

    def read_line(self, timeout_s: float) -> str | None:  # noqa: ARG002 - a file is read, not waited for
        """Return the next line; see `LineInput`."""
        if self._file.closed:
            raise SourceError(self._file.name, "was closed; open it again")
        data = self._file.readline(LONGEST_LINE_BYTES)
        return data.decode("utf-8-sig", errors="replace") if data else None

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


class _Buffer:
    """Cuts bytes into lines."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes | memoryview) -> None:
        self._held += data

    def pop(self) -> str | None:
        """Return the next line, or so many bytes without an end that they count as one; None where there is none yet."""
        end = self._held.find(b"\n")
        if end < 0 and len(self._held) < LONGEST_LINE_BYTES:
            return None
        return self._cut(end + 1 if end >= 0 else LONGEST_LINE_BYTES)

    def flush(self) -> str | None:
        """Return what is left without an end; None where nothing is."""
        return self._cut(len(self._held)) if self._held else None

    def _cut(self, count: int) -> str:
        line = self._held[:count].decode(errors="replace")
        del self._held[:count]
        return line


class DeviceLines:
    """The lines of a serial port, a terminal or a FIFO, whose writers may come and go."""

    live = True

    def __init__(self, path: str, baud: int, clock: Clock) -> None:
        """Open it.

        Args:
            path: of the device.
            baud: symbols a second of a serial port; 0 leaves it as it is.
            clock: passes the time while nobody writes into a FIFO.

        Raises:
            OSError: it cannot be opened.
            SourceError: it is a device that gives no lines, or has no such baud rate.
        """
        self._path = path
        self._clock = clock
        self._fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_port = os.isatty(self._fd)
        try:
            if self._is_port:
                set_up(self._fd, path, baud)
            else:
                _check_fifo(self._fd, path)
        except SourceError:
            self.close()
            raise
        self._lines = _Buffer()
        self._begun = not self._is_port  # what a port gives first may be the end of a line
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def read_line(self, timeout_s: float) -> str | None:
        """Return the next line; see `LineInput`."""
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        while True:
            while (line := self._lines.pop()) is not None:
                begun, self._begun = self._begun, True
                if begun:
                    return line
            left_s = (ends_ns - self._clock.monotonic_ns()) / 1e9
            if left_s < 0 or (data := self._receive(left_s)) is None:
                raise SourceTimeout(self._path, f"has given no line for {timeout_s:g} s")
            self._lines.feed(data)

    def close(self) -> None:
        """Close the device. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _receive(self, timeout_s: float) -> bytes | None:
        """Return received bytes, b"" while nobody writes into a FIFO; None where none came.

        Raises:
            SourceError: it was closed, or the port is gone.
        """
        if self._fd < 0:
            raise SourceError(self._path, "was closed; open it again")
        if not self._poll.poll(timeout_s * 1000):
            return None
        try:
            data = os.read(self._fd, LONGEST_LINE_BYTES)
        except BlockingIOError:
            return b""
        except OSError as exc:
            raise SourceError(self._path, "has been unplugged; plug it in again") from exc
        if not data and self._is_port:
            raise SourceError(self._path, "has been unplugged or its other end closed")
        if not data:
            self._clock.pause(min(timeout_s, NO_WRITER_S))
        return data


def _check_fifo(fd: int, path: str) -> None:
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        raise SourceError(path, "is a device that gives no lines; name a serial port, a FIFO or a file")


class ProgramLines:
    """The lines that a program prints."""

    def __init__(self, command: tuple[str, ...], clock: Clock, *, finite: bool) -> None:
        """Start it.

        Args:
            command: the program and its arguments.
            clock: times the reads.
            finite: whether exit code 0 means that the input has ended.

        Raises:
            SourceError: there is no such program.
        """
        self.live = not finite
        self._program = Program(command, clock)
        self._finite = finite
        self._lines = _Buffer()
        self._chunk = memoryview(bytearray(LONGEST_LINE_BYTES))

    def read_line(self, timeout_s: float) -> str | None:
        """Return the next line; see `LineInput`."""
        while (line := self._lines.pop()) is None:
            count = self._program.read_into(self._chunk, timeout_s)
            if not count:
                return self._last()
            self._lines.feed(self._chunk[:count])
        return line

    def close(self) -> None:
        """End the program. Idempotent."""
        self._program.close()

    def _last(self) -> str | None:
        if (line := self._lines.flush()) is not None:
            return line
        ended = self._program.ended()
        if self._finite and ended is not None and ended.ok:
            return None
        raise SourceError(self._program.name, self._program.exit_summary(ended))


def open_path(path: str, baud: int, clock: Clock) -> LineInput:
    """Open a file or a device.

    Raises:
        SourceError: it is not there, may not be read, or gives no lines.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a path that is no text for pathlib raises the same here
        if stat.S_ISREG(mode):
            return FileLines(path)
        if stat.S_ISDIR(mode):
            raise SourceError(path, "is a folder; name a file, a FIFO or a serial port")
        return DeviceLines(path, baud, clock)
    except FileNotFoundError:
        raise SourceError(path, "no such file; check the path") from None
    except PermissionError as exc:
        group = "add inferd's user to the group dialout" if path.startswith("/dev/") else "check its permissions"
        raise SourceError(path, f"may not be read; {group}") from exc
    except OSError as exc:
        raise SourceError(path, f"cannot be read ({exc.strerror})") from exc
