"""`inferd ask` to the real program over a real mosquitto, plain and sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fixtures.agents.agent import program
from fixtures.network.broker import Listener, Mosquitto, dead_port, eventually
from inferd.cli.broker.request import ask
from inferd.errors import LinkError

pytestmark = pytest.mark.slow

CONFIG = """
device = "kitchen"
[mqtt]
port = %d
requests = "all"
seal_key_file = "%s"
snapshots = true
[metrics]
interval_s = 600
[[pipeline]]
name = "cam"
model = "fake"
source = {kind = "synthetic", width = 64, height = 48}
pace = {mode = "fixed"}
report = {max_per_s = 1}
engine = {kind = "fake"}
"""
REQUESTS = "inferd/kitchen/request"


def asked(port: int, *arguments: object) -> Result:
    return CliRunner().invoke(ask, ["kitchen", *map(str, arguments), "--broker", f"mqtt://127.0.0.1:{port}/inferd"])


def told(port: int, *arguments: object) -> object:
    done = asked(port, *arguments)
    assert done.exit_code == 0, done.exception
    return json.loads(done.output)


def refusal(port: int, *arguments: object) -> str:
    done = asked(port, *arguments)
    assert isinstance(done.exception, LinkError), done.output
    return str(done.exception)


def test_a_device_answers_what_it_is_asked(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with program(tmp_path, CONFIG % (mosquitto.port, "")) as running:
        running.result()
        assert told(mosquitto.port, "interval", "interval_s=30") == {"interval_s": 30.0}
        assert refusal(mosquitto.port, "interval", "interval_s=0").startswith("kitchen: data: ")
        picture = tmp_path / "cam.jpg"
        assert asked(mosquitto.port, "snapshot", "--output", picture).exit_code == 0
        assert picture.read_bytes()[:3] == b"\xff\xd8\xff"
    assert refusal(mosquitto.port, "ping") == "kitchen: is offline"
    assert "nothing listens there" in refusal(dead_port(), "ping", "--timeout", 0.5)


def test_a_sealed_device_obeys_sealed_requests_once_and_no_others(tmp_path: Path, mosquitto: Mosquitto) -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text("ab" * 32)
    other.write_text("cd" * 32)
    listener = Listener(mosquitto.port)
    config = CONFIG % (mosquitto.port, key)
    with program(tmp_path, config) as running:
        running.result()
        assert told(mosquitto.port, "interval", "interval_s=30", "--seal-key-file", key) == {"interval_s": 30.0}
        recorded = listener.payloads(f"{REQUESTS}/interval")[0]
        assert b"interval_s" not in recorded
        assert b"interval_s" not in listener.payloads("inferd/kitchen/response/interval")[0]
        assert "name its key with --seal-key-file" in refusal(mosquitto.port, "ping")
        assert "encrypted with another key" in refusal(mosquitto.port, "ping", "--seal-key-file", other, "--timeout", 1)
        picture = tmp_path / "cam.jpg"
        done = asked(mosquitto.port, "snapshot", "--output", picture, "--seal-key-file", key)
        assert done.exit_code == 0
        assert picture.read_bytes()[:3] == b"\xff\xd8\xff"
        assert told(mosquitto.port, "interval", "interval_s=40", "--seal-key-file", key) == {"interval_s": 40.0}
        for payload in (recorded, b'{"id": "plain", "data": {"interval_s": 50}}'):
            listener.say(f"{REQUESTS}/interval", payload)
        eventually(lambda: len(listener.payloads("inferd/kitchen/response/interval")) == 3, "a refusal")
        assert interval(mosquitto.port, key) == 40.0
    with program(tmp_path, config) as running:
        running.result()
        listener.say(f"{REQUESTS}/interval", recorded)
        eventually(lambda: len(listener.payloads("inferd/kitchen/response/interval")) == 4, "a refusal")
        assert interval(mosquitto.port, key) == 600.0
    listener.close()


def interval(port: int, key: Path) -> float:
    """Return how often the device reports."""
    status = told(port, "status", "--seal-key-file", key)
    assert isinstance(status, dict)
    return float(status["info"]["metrics_interval_s"])
