"""A model that takes more and more memory is stopped by us, before the kernel stops somebody."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.drop_folder_agent import FOLLOWS_NEWEST, WAIT_S, agent
from fixtures.machines.memory_cgroup import memory_group

pytestmark = pytest.mark.timeout(240)

LIMITED = FOLLOWS_NEWEST.replace("[watch]\n", "[watch]\nmemory_max_mb = 400\n")
UNLIMITED = FOLLOWS_NEWEST.replace("[watch]\n", "[watch]\nmemory_max_mb = 1e7\n")
LEAKS = "leak_from = 20\nleak_mb = 20"
ENOUGH = 50  # leaks: 1,000 MB


def test_a_hog_on_trial_is_stopped_and_the_model_before_serves(tmp_path: Path) -> None:
    with agent(tmp_path, config=LIMITED, fps=20) as it:
        it.drop("good")
        it.await_active("good")
        control = it.running.process.pid
        it.drop("hog", LEAKS)
        line = it.await_line("model.quarantined", "hog")
        assert "grew to" in line.why
        assert "beyond 400 MB (watch.memory_max_mb)" in line.why
        assert [why.code for why in it.state().quarantine.values()] == ["memory"]
        assert wait_for(lambda: it.slots() == ("good", "good"), WAIT_S)
        served = it.results.count
        assert wait_for(lambda: it.results.count > served + 20, WAIT_S)
        assert it.running.process.pid == control
        assert it.running.process.poll() is None


def test_without_the_limit_the_hog_goes_on(tmp_path: Path) -> None:
    with agent(tmp_path, config=UNLIMITED, fps=20) as it:
        it.drop("good")
        it.await_active("good")
        it.drop("hog", LEAKS)
        it.await_line("model.trial", "hog")
        served = it.results.count
        assert wait_for(lambda: it.results.count > served + 20 + ENOUGH, WAIT_S)
        assert it.lines("model.quarantined") == []


def test_a_leak_of_the_only_model_restarts_the_worker_and_is_named(tmp_path: Path) -> None:
    with agent(tmp_path, config=LIMITED, fps=20) as it:
        it.drop("hog", LEAKS)
        assert wait_for(lambda: "grew to" in it.running.log(), WAIT_S)
        served = it.results.count
        assert wait_for(lambda: it.results.count > served + 20, WAIT_S), it.running.log()


def test_when_the_kernel_kills_the_worker_control_stays_and_the_model_before_serves(tmp_path: Path) -> None:
    with memory_group(limit_mb=450) as members, agent(tmp_path, config=UNLIMITED, fps=20) as it:
        members.write_text(str(it.running.process.pid))  # before it has children, which belong to it then
        it.drop("good")
        it.await_active("good")
        it.drop("hog", LEAKS)
        it.await_line("model.quarantined", "hog")
        assert it.running.log().count("was killed by SIGKILL, by the kernel for want of memory") >= 2
        assert [why.code for why in it.state().quarantine.values()] == ["crash"]
        assert wait_for(lambda: it.slots() == ("good", "good"), WAIT_S)
        served = it.results.count
        assert wait_for(lambda: it.results.count > served + 20, WAIT_S)
        assert it.running.process.poll() is None
