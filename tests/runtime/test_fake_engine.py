"""The fake engine answers and misbehaves as it was told to, in the real ways where that matters."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from inferd.config import settings
from inferd.errors import EngineError
from inferd.runtime.fake import Fake
from inferd.system.clock import CountingClock

START = """
import sys
from inferd.config import settings
from inferd.runtime.fake import Fake
from inferd.system.clock import SystemClock
from inferd.system.threads import start
def engine(**fake):
    return Fake("", settings.EngineConfig(kind="fake", fake=settings.FakeEngine(**fake)), SystemClock(), "fake")
"""


def engine(clock: CountingClock, **fake: object) -> Fake:
    options = settings.EngineConfig(kind="fake", threads=3, fake=settings.FakeEngine(**fake))  # type: ignore[arg-type]  # by name
    return Fake("there is no such file", options, clock, "fake")


def ends_with(program: str) -> int:
    """Run a program in a process of its own and return how that ended; a signal is negative."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", START + program], env=environment, timeout=50, check=False).returncode


def test_it_answers_the_scores_it_was_told() -> None:
    fake = engine(CountingClock(), scores=(0.25, 0.5, 0.25))
    fake.invoke()
    assert fake.read(lambda views: views[0].tolist()) == [[0.25, 0.5, 0.25]]


def test_its_input_has_the_shape_it_was_told() -> None:
    assert engine(CountingClock(), input_shape=(1, 4, 4, 1)).write(lambda views: views[0].shape) == (1, 4, 4, 1)


def test_loading_and_running_take_the_time_they_were_told() -> None:
    clock = CountingClock(start_ns=0)
    fake = engine(clock, load_ms=30.0, invoke_ms=5.0)
    fake.invoke()
    assert (clock.monotonic_ns(), fake.info.load_ms) == (35_000_000, 30.0)


def test_it_fails_at_one_invoke_and_runs_again() -> None:
    fake = engine(CountingClock(), fail_at=2)
    fake.invoke()
    with pytest.raises(EngineError, match="fake: fails at invoke 2"):
        fake.invoke()
    fake.invoke()


def test_it_dies_by_a_real_signal_while_loading() -> None:
    assert ends_with("engine(crash_at_load=True)") == -signal.SIGSEGV


def test_it_dies_by_a_real_signal_at_an_invoke() -> None:
    assert ends_with("fake = engine(crash_at=2); fake.invoke(); fake.invoke()") == -signal.SIGSEGV


def test_it_lives_until_the_invoke_it_dies_at() -> None:
    assert ends_with("fake = engine(crash_at=2); fake.invoke()") == 0


def test_a_hang_leaves_other_threads_running_until_the_process_is_killed() -> None:
    hang = "start('loop', engine(hang_at=1).invoke).join(0.2); print('alive', flush=True); engine(hang_at=1).invoke()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", START + hang]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert select.select([child.stdout], [], [], 50)[0]
        assert child.stdout.readline() == "alive\n"
        child.kill()
        assert child.wait(10) == -signal.SIGKILL


def test_a_leak_takes_memory_with_every_invoke() -> None:
    grown = "memory = lambda: int(open('/proc/self/statm').read().split()[1]); fake = engine(leak_from=2, leak_mb=32)\n"
    grown += "fake.invoke(); before = memory(); fake.invoke(); fake.invoke(); sys.exit((memory() - before) * 4096 >> 20 < 60)"
    assert ends_with(grown) == 0
