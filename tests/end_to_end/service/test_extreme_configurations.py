"""Every number of the configuration at both ends of its bounds, table by table: the agent runs, or refuses it with exit code 78.

`make soak` runs it: two agents for each table.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec import inspect

from config.schema import Key, Table, keys
from config.test_bounds import bounds, toml
from fixtures.agents.agent import environment
from inferd.cli import BAD_CONFIG

RUN_S = 5.0
STOP_S = 15.0
# Shapes, whose ends contradict each other; and what only makes the fake engine misbehave.
LEFT_OUT = {"roi", "points", "start", "end", "fake"}
NUMBERS = [
    key
    for key in keys()
    if isinstance(getattr(key.kind, "type", key.kind), inspect.IntType | inspect.FloatType)
    and LEFT_OUT.isdisjoint(map(str, key.path))
]


def table_of(key: Key) -> str:
    """Return the table that a key stands in, and the kind of a source."""
    names = [str(step) for step in key.path[:-1] if isinstance(step, str)]
    kind = key.base["pipeline"][0]["source"]["kind"] if "source" in names else ""
    return ".".join(filter(None, [*names, kind]))


def configuration(chosen: Iterable[Key], folder: Path, *, high: bool) -> str:
    """Return a configuration that has the ends of these keys' bounds."""
    table: Table = {}
    for key in chosen:
        low, top = bounds(key)
        made = Key(key.path, key.kind, table or key.base).given(top if high else low)
        table = made
    table["state_dir"] = str(folder / "state")
    table.setdefault("mqtt", {"enabled": False})
    return "".join(f"{json.dumps(name)} = {toml(value)}\n" for name, value in table.items())


@pytest.mark.soak
@pytest.mark.parametrize("high", [False, True], ids=["low", "high"])
@pytest.mark.parametrize("table", sorted({table_of(key) for key in NUMBERS}))
def test_an_agent_runs_at_both_ends_of_its_bounds(table: str, high: bool, tmp_path: Path) -> None:  # noqa: FBT001 - pytest's
    file = tmp_path / "inferd.toml"
    file.write_text(configuration([key for key in NUMBERS if table_of(key) == table], tmp_path, high=high))
    check = subprocess.run(
        [sys.executable, "-m", "inferd", "config", "check", str(file)], env=environment(), check=False, timeout=30
    )
    with (tmp_path / "log").open("wb") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "inferd", "run", "--config", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=environment(),
        )
        try:
            agent.wait(RUN_S)
        except subprocess.TimeoutExpired:
            agent.send_signal(signal.SIGTERM)
        stopping = time.monotonic()
        try:
            code = agent.wait(STOP_S)
        finally:
            agent.kill()
            agent.wait()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said, said
    assert code == check.returncode, said
    assert code in (0, BAD_CONFIG), said
    assert "worker" not in "".join(line for line in said.splitlines() if line.startswith("ERROR")), said
    print(f"{table}: exit code {code}, stopped in {time.monotonic() - stopping:.1f} s")  # noqa: T201 - soak's report
