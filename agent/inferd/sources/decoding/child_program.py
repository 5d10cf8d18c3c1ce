"""A child program whose output is read: started without a shell, read with time-outs, ended with its process group."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from inferd.errors import SourceError, SourceTimeout
from inferd.system.clock import Clock
from inferd.system.processes.parent_death import BoundProgram
from inferd.system.processes.process import Exit
from inferd.system.urls import without_logins

TAIL_BYTES = 2048  # of standard error
TOLD_CHARACTERS = 200
PIPE_BYTES = 1 << 20  # what any user may ask of a pipe (fs.pipe-max-size); a 640 x 480 frame is 0.9 MB
STOP_S = 0.3  # for a clean exit, so that a camera is released; stopping a worker has 2 s in all
EXIT_S = 1.0  # between the end of its output and the end of the program


def fill_in(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the arguments with each {name} of `values` replaced; other braces stay, for programs have uses for them."""
    filled = []
    for argument in command:
        for name, value in values.items():
            argument = argument.replace(f"{{{name}}}", value)  # noqa: PLW2901 - each replacement works on the last
        filled.append(argument)
    return filled


class Program:
    """Owned by one source thread: when the worker dies, the kernel kills the program."""

    def __init__(self, command: Sequence[str], clock: Clock, package: str = "") -> None:
        """Start it.

        Args:
            command: the program and its arguments.
            clock: times the reads.
            package: the Debian package of a missing program; "" where unknown.

        Raises:
            SourceError: there is no such program.
        """
        if not command:
            raise SourceError("command", "names no program; set command = [...] or preset")
        self.name = os.path.basename(command[0])  # noqa: PTH119 - a name on the search path is no path
        if shutil.which(command[0]) is None:
            remedy = f"sudo apt-get install {package}" if package else "install it, or name it with its folder"
            raise SourceError(command[0], f"there is no such program; {remedy}")
        self._clock = clock
        self._child = BoundProgram(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._child.stdout is not None and self._child.stderr is not None  # noqa: S101, PT018 - PIPEs give them
        self._out = self._child.stdout.fileno()
        self._err = self._child.stderr.fileno()
        self._tail = b""
        self._closed = False
        self._poll = select.poll()
        for fd in (self._out, self._err):
            os.set_blocking(fd, False)
            self._poll.register(fd, select.POLLIN)
        try:
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            return  # a smaller pipe only means more wake-ups

    def read_into(self, room: memoryview, timeout_s: float) -> int:
        """Read available bytes into `room`; return how many, 0 at the end of the output.

        Raises:
            SourceTimeout: nothing came.
            SourceError: it was closed.
        """
        if self._closed:
            raise SourceError(self.name, "was closed; start it again")
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        while True:
            left_s = max(0.0, (ends_ns - self._clock.monotonic_ns()) / 1e9)
            ready = {fd for fd, _ in self._poll.poll(left_s * 1000)}
            if self._err in ready:
                self._read_stderr()
            if self._out in ready:
                return os.readv(self._out, [room])
            if not ready:
                raise SourceTimeout(self.name, f"has written nothing for {timeout_s:g} s")

    def ended(self) -> Exit | None:
        """Return its exit; None where it still runs although its output has ended."""
        ended = self._child.wait(EXIT_S)
        while self._read_stderr():
            pass
        return ended

    def exit_summary(self, ended: Exit | None) -> str:
        """Return its exit and the end of its standard error as one sentence."""
        how = _how(ended) if ended else "closed its output and runs on"
        said = without_logins(" ".join(self._tail.decode(errors="replace").split()))[-TOLD_CHARACTERS:]
        return f"{how}; its last output: {said}" if said else f"{how} without an error message"

    def close(self) -> None:
        """End its process group. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._child.stop_all(STOP_S)
        for stream in (self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()

    def _read_stderr(self) -> bool:
        """Keep the end of standard error; return whether something came."""
        try:
            said = os.read(self._err, TAIL_BYTES)
        except BlockingIOError:
            return False
        if not said:
            self._stop_reading_stderr()
        self._tail = (self._tail + said)[-TAIL_BYTES:]
        return bool(said)

    def _stop_reading_stderr(self) -> None:
        try:
            self._poll.unregister(self._err)  # an ended stream would be ready for ever
        except KeyError:
            return


def _how(ended: Exit) -> str:
    """Return how it ended; `Exit.sentence` explains only our own exit codes."""
    if os.WIFEXITED(ended.status):
        return f"ended with exit code {os.WEXITSTATUS(ended.status)}"
    return ended.sentence
