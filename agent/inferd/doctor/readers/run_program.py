"""Runs other programs for a bounded time. What they say is kept, also of those that had to be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferd.system.processes.process import Exit

KILLED_S = 0.2  # what a killed program may still hold its output open


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """How a program ran.

    Attributes:
        code: its exit code, -9 for SIGKILL and so on.
        timed_out: whether it was killed because it took too long.
    """

    code: int
    out: str
    err: str
    timed_out: bool = False

    @property
    def ended(self) -> str:
        """How it ended, in words that follow its name."""
        if self.timed_out:
            return "did not answer in time"
        return Exit(-self.code if self.code < 0 else self.code << 8).sentence


def run(command: Sequence[str], timeout_s: float, environment: Mapping[str, str]) -> ProgramRun:
    """Run a program without input, in a session of its own, and kill it and its children when time is up.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - programs of this system, by their full path
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, "LC_ALL": "C"},
        start_new_session=True,
    )
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            out, err = _kill(process)
            return ProgramRun(-signal.SIGKILL, _text(out), _text(err), timed_out=True)
    return ProgramRun(process.returncode, _text(out), _text(err))


def _kill(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=KILLED_S)
    except subprocess.TimeoutExpired as exc:
        return exc.stdout or b"", exc.stderr or b""


def _text(said: bytes) -> str:
    return said.decode(errors="replace")
