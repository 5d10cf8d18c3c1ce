"""Runs a program that ends when the process that started it ends, even if that is killed.

`python -m inferd.system.processes.parent_death PARENT COMMAND...` asks the kernel for a signal at the parent's death and executes
COMMAND; the setting survives exec. A preexec_fn would run Python between fork and exec, which is not safe with threads.
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

    It has its own process group, so that Ctrl-C reaches only inferd, which decides in which order things end.
    """

    def __init__(self, command: Sequence[str], *, stdout: IO[bytes] | int, stderr: IO[bytes] | int) -> None:
        """Start `command` without standard input.

        Args:
            command: the program and its arguments.
            stdout: a file, or subprocess's PIPE or DEVNULL.
            stderr: as `stdout`.
        """
        # -P: import nothing from the current folder
        wrapper = [sys.executable, "-P", "-m", "inferd.system.processes.parent_death", str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, and the caller's command
            [*wrapper, *command], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, process_group=0
        )

    @property
    def pid(self) -> int:
        """The program's process number."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its standard output, if a PIPE was requested."""
        return self._process.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        """Its standard error, if a PIPE was requested."""
        return self._process.stderr

    def ended(self) -> Exit | None:
        """Return how it ended, None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return Exit(-code if code < 0 else code << 8)  # as waitpid encodes it: the signal below, the exit code above

    def wait(self, timeout_s: float) -> Exit | None:
        """Return how it ended; None if it still runs after `timeout_s`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.ended()

    def stop(self, timeout_s: float) -> bool:
        """Send SIGTERM, and SIGKILL after `timeout_s`; return whether it ended by itself. Idempotent."""
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def stop_all(self, timeout_s: float) -> None:
        """End the program and its process group: SIGTERM, and SIGKILL after `timeout_s`. Idempotent."""
        self._signal_all(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self._signal_all(signal.SIGKILL)
        self._process.wait()

    def _signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended, or some changed their user
            os.killpg(self._process.pid, number)


def main(arguments: Sequence[str]) -> None:
    """Execute the program; the first argument is the process number of the parent."""
    die_with_parent(int(arguments[0]))
    os.execvp(arguments[1], list(arguments[1:]))  # noqa: S606 - this is what it is for


if __name__ == "__main__":
    main(sys.argv[1:])
