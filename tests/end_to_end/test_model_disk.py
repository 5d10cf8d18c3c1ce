"""The disk takes nothing any more while an agent serves: inference goes on, and nothing invalid is left."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from fixtures.agent import wait_for
from fixtures.dropping import WAIT_S, Dropping, agent

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
