"""Runs a program that ends when the process that started it ends, even where that one is killed.

`python -m inferd.system.processes.parent_death PARENT COMMAND...` asks the kernel for a signal at the parent's death and becomes
COMMAND; the setting survives exec.
A preexec_fn would need no module of its own, but runs Python between fork and exec, which is not safe beside threads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

from inferd.system.processes.process import Exit, die_with_parent


class BoundProgram:
    """A running program, owned by the thread that started it: when that thread ends, the kernel kills the program.

    It has a process group of its own, so that Ctrl-C reaches only us and we decide in which order things end.
    """

    def __init__(self, command: Sequence[str], *, stdout: IO[bytes] | int, stderr: IO[bytes] | int) -> None:
        """Start `command` without standard input.

        Args:
            command: the program and its arguments.
            stdout: a file, or subprocess's PIPE or DEVNULL.
            stderr: as `stdout`.
        """
        leash = [
            sys.executable,
            "-P",
            "-m",
            "inferd.system.processes.parent_death",
            str(os.getpid()),
        ]  # -P: nothing from the folder we happen to be in
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, and a command that our caller made
            [*leash, *command], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, process_group=0
        )

    @property
    def pid(self) -> int:
        """The program's process number."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it prints, where a PIPE was asked for."""
        return self._process.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        """Where it complains, where a PIPE was asked for."""
        return self._process.stderr

    def ended(self) -> Exit | None:
        """Return how it ended, None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return Exit(-code if code < 0 else code << 8)  # as waitpid tells it: the signal below, the exit code above

    def wait(self, timeout_s: float) -> Exit | None:
        """Return how it ended, None where it still runs after `timeout_s`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.ended()

    def stop(self, timeout_s: float) -> bool:
        """Ask it to end, kill it after `timeout_s`; return whether it ended by itself. Twice is fine."""
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def stop_all(self, timeout_s: float) -> None:
        """End the program and all that it started: ask first, kill after `timeout_s`. Twice is fine."""
        self._signal_all(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self._signal_all(signal.SIGKILL)
        self._process.wait()

    def _signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all are gone, or some became another user's
            os.killpg(self._process.pid, number)


def main(arguments: Sequence[str]) -> None:
    """Become the program, on a leash held by the process whose number comes first."""
    die_with_parent(int(arguments[0]))
    os.execvp(arguments[1], list(arguments[1:]))  # noqa: S606 - this is what it is for


if __name__ == "__main__":
    main(sys.argv[1:])
