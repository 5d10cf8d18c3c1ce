from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.agents.agent import environment, program, wait_for

CONFIG = "[mqtt]\nenabled = false\n[metrics]\ninterval_s = 0.5\n"


def ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", "status", "--config", str(folder / "inferd.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=30, check=False)


@pytest.mark.slow
def test_a_running_agent_tells_how_it_is(tmp_path: Path) -> None:
    with program(tmp_path, CONFIG) as running:
        running.result()
        assert wait_for(lambda: "p95" in ask(tmp_path).stdout)
        asked = ask(tmp_path)
        told = json.loads(ask(tmp_path, "--json").stdout)
    assert asked.returncode == 0
    assert "running: inferd" in asked.stdout
    assert "digits: running, digits 1.0.0 on cpu" in asked.stdout
    assert told["pipelines"]["digits"]["status"]["status"] == "running"
    assert told["metrics"]["pipelines"]["digits"]["frames_inferred"] > 0


@pytest.mark.slow
def test_an_agent_that_does_not_run_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "inferd.toml").write_text(f'state_dir = "{tmp_path}/state"\n{CONFIG}')
    asked = ask(tmp_path)
    assert asked.returncode == 1
    assert re.search("start it with `.*inferd run`", asked.stderr)
