"""What a person does by hand: `inferd vet`, and `inferd models ...` against a running agent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.agents.agent import environment, wait_for
from fixtures.agents.drop_folder_agent import Dropping, agent
from inferd.bundled_files import bundled

pytestmark = pytest.mark.timeout(240)


def inferd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


def models(it: Dropping, *arguments: str) -> str:
    """Ask the agent; return what was printed."""
    done = inferd("models", *arguments, "--config", str(it.state_dir.parent / "inferd.toml"))
    return done.stdout + done.stderr


def test_an_accepted_model_ends_with_0_and_its_report() -> None:
    done = inferd("vet", str(bundled("digits")), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["accepted"]
    assert report["verified"]
    assert [gate["gate"] for gate in report["gates"]] == ["integrity", "loads", "contract", "behaviour", "cost"]


def test_a_refused_model_ends_with_1_and_its_reason() -> None:
    done = inferd("vet", str(bundled("digits")), "--budget", "latency_p95_ms=0.0001")
    assert done.returncode == 1
    assert "refused (over_budget)" in done.stdout


def test_a_person_looks_rolls_back_pins_and_forgets(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        for name in ("first", "second"):
            it.drop(name)
            it.await_active(name)
        assert "second  active" in models(it, "status")
        assert "serves cam again" in models(it, "rollback", "cam")
        assert it.slots() == ("first", "first")
        assert wait_for(lambda: it.running.log().count("model active: first") == 2)
        assert "is pinned" in models(it, "pin", "cam", "first")
        assert "pinned" in models(it, "activate", "cam", "second")
        assert "newer models again" in models(it, "unpin", "cam")
        assert "goes on trial" in models(it, "activate", "cam", "second")
        it.await_active("second")
        assert "kept to go back to" in models(it, "forget", "first")
        assert "rolled_back" in models(it, "log")


def test_a_person_releases_a_model_from_quarantine(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("good")
        it.await_active("good")
        it.drop("bad", "nan_from = 40")
        it.await_line("model.quarantined", "bad")
        assert "quarantined: nonfinite_output" in models(it, "status")
        assert "may be tried again" in models(it, "release", "bad")
        assert wait_for(lambda: len(it.lines("model.trial")) == 3, 20)


def test_without_an_agent_there_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text(f'state_dir = "{tmp_path}"\n')
    done = inferd("models", "status", "--config", str(file))
    assert done.returncode == 1
    assert "no agent runs there" in done.stderr
