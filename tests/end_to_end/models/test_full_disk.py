"""The disk takes nothing any more while an agent serves: inference goes on, and nothing invalid is left."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.agents.agent import environment, wait_for
from fixtures.agents.drop_folder_agent import WAIT_S, Dropping, agent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def refuse_writes(it: Dropping, limit_bytes: int) -> None:
    """Have every write of control beyond that size fail."""
    resource.prlimit(it.running.process.pid, resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))


def bundles(it: Dropping) -> int:
    return len(list((it.state_dir / "bundles").glob("[0-9a-f]*")))


def test_what_cannot_be_written_down_is_not_tried_and_what_serves_goes_on(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first")
        it.await_active("first")
        before, worker = it.state(), it.running.children()["inferd-worker"]
        refuse_writes(it, 0)
        it.drop("second")
        assert wait_for(lambda: bundles(it) == 2, WAIT_S)
        heard = it.results.count
        assert wait_for(lambda: it.results.count > heard + 300, WAIT_S)
        assert it.state() == before
        assert it.running.children()["inferd-worker"] == worker
        refuse_writes(it, resource.RLIM_INFINITY)
        it.await_active("second")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounting needs root")
def test_an_agent_that_starts_on_a_read_only_disk_serves_what_it_has_and_says_so(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first")
        it.await_active("first")
        state = it.state_dir
    mount = f"mount --bind {state} {state} && mount -o remount,ro,bind {state}"
    start = f"{sys.executable} -m inferd run --print --config {tmp_path / 'inferd.toml'}"
    command = ["unshare", "--mount", "sh", "-c", f"{mount} && exec {start}"]
    told = tmp_path / "told"
    with (
        told.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment()) as process,
    ):
        assert process.stdout is not None
        frames = [process.stdout.readline() for _ in range(50)]
        process.terminate()
    assert all(frames), told.read_text()
    assert "mounted read-only: stored models go on serving" in told.read_text()
