from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.paths import TESTS
from inferd.control.processes.vet_job import ENVIRONMENT, PRELOAD
from inferd.control.processes.vet_job import LIMITS as VET_LIMITS
from inferd.errors import WorkerError
from inferd.system.processes.fork_server import ForkServer
from inferd.system.processes.process import Limits

FIXTURES = TESTS / "fixtures" / "agents"


@pytest.fixture
def fork_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FIXTURES), *sys.path]))
    with ForkServer(("children",)) as started:
        yield started


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that is dead and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_within(pid: int, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not alive(pid):
            return True
        time.sleep(0.01)
    return False


def test_a_child_gets_its_descriptors_and_its_exit_code_is_told(fork_server: ForkServer, pipe: tuple[int, int]) -> None:
    child = fork_server.fork("fork_children:answer", "child", [pipe[1]])
    ended = fork_server.wait_exit(child, 5)
    assert ended is not None
    assert (ended.sentence, os.read(pipe[0], 10)) == ("ended with exit code 3", b"hello")


def test_a_child_that_crashes_is_told_by_its_signal(fork_server: ForkServer, pipe: tuple[int, int]) -> None:
    ended = fork_server.wait_exit(fork_server.fork("fork_children:crash", "child", [pipe[1]]), 5)
    assert ended is not None
    assert ended.sentence == "was killed by SIGSEGV"


def test_a_child_that_hangs_is_told_as_still_running_and_can_be_killed(
    fork_server: ForkServer, pipe: tuple[int, int]
) -> None:
    child = fork_server.fork("fork_children:hang", "child", [pipe[1]])
    assert fork_server.wait_exit(child, 0.05) is None
    child.kill()
    ended = fork_server.wait_exit(child, 5)
    assert ended is not None
    assert ended.sentence == "was killed by SIGKILL"


def test_a_child_runs_within_its_limits(fork_server: ForkServer, pipe: tuple[int, int]) -> None:
    own = os.nice(0)
    child = fork_server.fork("fork_children:limits", "child", [pipe[1]], Limits(nice=5, oom_score_adj=321))
    fork_server.wait_exit(child, 5)
    assert os.read(pipe[0], 20).decode() == f"{min(own + 5, 19)} 321"


def test_the_fork_server_has_one_thread_even_with_everything_imported() -> None:
    with ForkServer(PRELOAD, ENVIRONMENT) as fork_server:
        fork_server.wait_ready()
        assert len(list(Path(f"/proc/{fork_server.pid}/task").iterdir())) == 1


def test_a_module_that_is_not_installed_is_told_and_does_no_harm() -> None:
    with ForkServer(("no_such_module",)) as fork_server:
        fork_server.wait_ready()
        assert fork_server.missing == ("no_such_module: No module named 'no_such_module'",)


def test_children_die_with_the_fork_server(fork_server: ForkServer, pipe: tuple[int, int]) -> None:
    child = fork_server.fork("fork_children:hang", "child", [pipe[1]])
    fork_server.close()
    assert gone_within(child.pid, 5)


def test_a_dead_fork_server_is_a_named_error(fork_server: ForkServer, pipe: tuple[int, int]) -> None:
    fork_server.wait_ready()
    os.kill(fork_server.pid, 9)
    with pytest.raises(WorkerError, match="fork server: it was killed by SIGKILL"):
        fork_server.fork("fork_children:answer", "child", [pipe[1]])


def test_a_fork_server_that_died_long_ago_is_named_as_well(fork_server: ForkServer, pipe: tuple[int, int]) -> None:
    fork_server.wait_ready()
    os.kill(fork_server.pid, 9)
    assert gone_within(fork_server.pid, 5)
    with pytest.raises(WorkerError, match="fork server: it was killed by SIGKILL"):
        fork_server.fork("fork_children:answer", "child", [pipe[1]])


def test_fork_server_and_children_die_when_whoever_started_them_is_killed() -> None:
    program = (
        "import os, sys, time; from inferd.system.processes.fork_server import ForkServer;"
        "fork_server = ForkServer(('children',));"
        "child = fork_server.fork('children:hang', 'child', [1]); print(fork_server.pid, child.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FIXTURES), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert [gone_within(pid, 5) for pid in pids] == [True, True]


def test_a_vet_child_is_cut_off_from_the_network(fork_server: ForkServer, pipe: tuple[int, int]) -> None:
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel gives a process no network namespace of its own")
    child = fork_server.fork("fork_children:network", "child", [pipe[1]], VET_LIMITS)
    fork_server.wait_exit(child, 5)
    namespace, *interfaces = os.read(pipe[0], 500).decode().split()
    assert namespace != str(Path("/proc/self/ns/net").readlink())
    assert interfaces == ["lo"]
