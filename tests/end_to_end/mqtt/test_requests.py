"""Requests to the real program over a real mosquitto."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.agents.agent import program
from fixtures.network.broker import Listener, Mosquitto, eventually
from inferd.control.commands.snapshot_request import MQTT_BYTES

SNAPSHOTS = """
device = "test"
[mqtt]
port = %d
requests = "all"
snapshots = true
[[pipeline]]
name = "cam"
model = "fake"
source = {kind = "synthetic", width = 1280, height = 960}
pace = {mode = "fixed"}
engine = {kind = "fake"}
[[pipeline]]
name = "blind"
model = "fake"
source = {kind = "video", path = "nothing.avi"}
engine = {kind = "fake"}
"""
CONFIG = """
device = "test"
[mqtt]
port = %d
requests = "all"
version = "%s"
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


def asked(listener: Listener, verb: str, request_id: str, **data: object) -> dict[str, Any]:  # Any: JSON
    """Ask, and return the answer."""
    listener.say(f"inferd/test/request/{verb}", json.dumps({"id": request_id, "data": data}).encode())
    found: list[dict[str, Any]] = []

    def answered() -> bool:
        told = [json.loads(payload) for payload in listener.payloads(f"inferd/test/response/{verb}")]
        found[:] = [one for one in told if one["id"] == request_id]
        return bool(found)

    eventually(answered, f"an answer to {verb}")
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_device_answers_over_the_broker(tmp_path: Path, mosquitto: Mosquitto, version: str) -> None:
    listener = Listener(mosquitto.port)
    with program(tmp_path, CONFIG % (mosquitto.port, version)) as running:
        running.result()
        eventually(lambda: listener.payloads("inferd/test/status") == [b"online"], "the device")
        assert asked(listener, "ping", "1")["status"] == "ok"
        assert asked(listener, "status", "2")["data"]["pipelines"]["cam"]["status"]["status"] == "running"
        assert asked(listener, "metrics", "3")["data"]["pipelines"]["cam"]["frames_in"] > 0
        assert asked(listener, "interval", "4", interval_s=1.0)["data"] == {"interval_s": 1.0}
        eventually(lambda: len(listener.payloads("inferd/test/metrics")) >= 3, "metrics every second")
        assert json.loads(listener.payloads("inferd/test/info")[-1])["metrics_interval_s"] == 1.0
        assert not [one for one in listener.payloads("inferd/test/event") if b"config.reloaded" in one]
        assert asked(listener, "models/list", "5")["status"] == "ok"
        assert "is no pipeline" in asked(listener, "models/rollback", "6", pipeline="nothing")["error"]
        assert asked(listener, "snapshot", "8")["error"].startswith("mqtt.snapshots: no picture leaves this device")
        (tmp_path / "inferd.toml").write_text("this is no TOML")
        assert "the old configuration stays in use" in asked(listener, "reload", "7")["error"]
        running.result()
    listener.close()


@pytest.mark.slow
def test_a_snapshot_is_a_small_jpeg_or_says_what_is_amiss(tmp_path: Path, mosquitto: Mosquitto) -> None:
    listener = Listener(mosquitto.port)
    with program(tmp_path, SNAPSHOTS % mosquitto.port) as running:
        running.result()
        told = asked(listener, "snapshot", "1", pipeline="cam")["data"]
        jpeg = base64.b64decode(told["jpeg"])
        assert (told["pipeline"], jpeg[:3]) == ("cam", b"\xff\xd8\xff")
        assert told["model"].startswith("fake")
        assert len(jpeg) <= MQTT_BYTES
        assert asked(listener, "snapshot", "2")["error"] == "pipeline: name one of its pipelines: cam, blind"
        eventually(lambda: listener.payloads("inferd/test/blind/status") != [], "its state")
        assert asked(listener, "snapshot", "3", pipeline="blind")["error"].startswith("snapshot: blind is ")
    listener.close()


PICTURES = """
device = "test"
[mqtt]
port = %d
[homeassistant]
enabled = true
[[pipeline]]
name = "cam"
model = "fake"
source = {kind = "synthetic", width = 640, height = 480}
pace = {mode = "fixed"}
engine = {kind = "fake"}
image = {publish = "change", max_kb = 20}
"""


@pytest.mark.slow
def test_a_picture_of_the_settled_answer_is_published_as_it_is(tmp_path: Path, mosquitto: Mosquitto) -> None:
    listener = Listener(mosquitto.port)
    with program(tmp_path, PICTURES % mosquitto.port) as running:
        running.result()
        eventually(lambda: listener.payloads("inferd/test/cam/image") != [], "a picture")
        picture = listener.payloads("inferd/test/cam/image")[0]
        assert (picture[:3], len(picture) <= 20_000) == (b"\xff\xd8\xff", True)
    listener.close()
