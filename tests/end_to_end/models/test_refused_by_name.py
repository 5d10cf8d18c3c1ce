"""What `inferd models status` and the status say of models that were refused, or wait for the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.agents.agent import environment, wait_for
from fixtures.agents.drop_folder_agent import WAIT_S, Dropping, agent
from inferd.control.commands.local_client import ask
from inferd.control.commands.local_socket import NAME

pytestmark = pytest.mark.timeout(240)


def await_agent(it: Dropping) -> None:
    """Wait until the agent answers."""
    assert wait_for((it.state_dir / NAME).exists, WAIT_S), it.running.log()


def listed(it: Dropping) -> str:
    """Return what `inferd models status` prints."""
    file = it.state_dir.parent / "inferd.toml"
    command = [sys.executable, "-m", "inferd", "models", "status", "--config", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout


def status(it: Dropping) -> tuple[str, str]:
    """Return the pipeline's state, and why."""
    told = json.loads(ask(it.state_dir, "status"))["pipelines"]["cam"]["status"]
    return told["status"], told["why"]


def test_each_refused_drop_is_listed_by_its_name_until_it_is_gone(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        await_agent(it)
        it.drop("bad", "load_crash = true")
        (it.folder / "worse.tflite").write_bytes(b"nothing that is a model")
        (it.folder / "linked.tflite").symlink_to("/etc/passwd")
        assert wait_for(lambda: all(name in listed(it) for name in ("bad  refused", "worse  refused")), WAIT_S), listed(
            it
        )
        text = listed(it)
        assert "linked" in text
        assert "file gone" not in text
        (it.folder / "bad.tflite").unlink()
        assert wait_for(lambda: "bad  refused" not in listed(it), WAIT_S)
        assert "worse  refused" in listed(it)
        it.drop("worse")
        it.await_active("worse")
        assert "worse  refused" not in listed(it)


def test_a_model_that_the_disk_refuses_says_so_on_the_status_and_is_logged_once(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        await_agent(it)
        in_the_way = it.state_dir / "bundles"
        in_the_way.rmdir()
        in_the_way.write_text("")  # a file where a folder is to be: the disk refuses, whoever asks
        it.drop("first")
        assert wait_for(lambda: "retrying" in status(it)[1], WAIT_S), it.running.log()
        state, why = status(it)
        assert state == "waiting"
        assert "Not a directory" in why or "cannot be" in why
        in_the_way.unlink()
        in_the_way.mkdir()
        it.await_active("first", 2 * WAIT_S)
        log = it.running.log()
    assert log.count("retrying") <= 3  # a warning, the state, the event
    assert log.count("store: ") == 2
