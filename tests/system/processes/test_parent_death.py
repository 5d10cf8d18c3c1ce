from __future__ import annotations

import signal
import subprocess
import sys

import psutil

from fixtures.network.broker import eventually
from inferd.system.processes.parent_death import BoundProgram

SLEEPER = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]
HOLDER = """
import subprocess, sys, time
from inferd.system.processes.parent_death import BoundProgram
print(BoundProgram(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid, flush=True)
time.sleep(600)
"""


def started(command: list[str]) -> BoundProgram:
    program = BoundProgram(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    return program


def gone(pid: int) -> bool:
    """Whether a process has ended; whose it was may not have taken note."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_the_program_keeps_the_process_number_it_was_started_with() -> None:
    program = started(SLEEPER)
    assert psutil.Process(program.pid).cmdline() == SLEEPER
    program.stop(5.0)


def test_it_dies_with_the_process_that_started_it() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, *SLEEPER], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    holder.kill()
    holder.communicate()
    eventually(lambda: gone(pid), "the program to die with its starter")


def test_it_ends_when_it_is_asked_to() -> None:
    program = started(SLEEPER)
    assert program.ended() is None
    assert program.stop(5.0)
    ended = program.ended()
    assert ended is not None
    assert ended.sentence == "was killed by SIGTERM"


def test_one_that_does_not_end_is_killed() -> None:
    program = started(STUBBORN)
    assert not program.stop(0.1)
    ended = program.ended()
    assert ended is not None
    assert ended.status == signal.SIGKILL


def test_stopping_twice_is_fine() -> None:
    program = started(SLEEPER)
    program.stop(5.0)
    assert program.stop(5.0)


def test_its_exit_code_is_told() -> None:
    program = BoundProgram(
        [sys.executable, "-c", "raise SystemExit(3)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    eventually(lambda: program.ended() is not None, "the program to end")
    ended = program.ended()
    assert ended is not None
    assert ended.sentence == "ended with exit code 3"
