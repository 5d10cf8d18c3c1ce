"""`inferd forget` against a real mosquitto."""

from __future__ import annotations

from contextlib import closing

from click.testing import CliRunner, Result

from fixtures.network.broker import Listener, Mosquitto, dead_port, eventually, retained
from inferd.cli.broker.forget import forget
from inferd.errors import LinkError

OURS = (
    "inferd/old/status",
    "inferd/old/cam/model",
    "homeassistant/device/old/config",
    "homeassistant/sensor/old/x/config",
)
OTHERS = ("inferd/older/status", "homeassistant/device/older/config")


def run(port: int, device: str = "old") -> Result:
    return CliRunner().invoke(forget, [device, "--timeout", "8", "--broker", f"mqtt://127.0.0.1:{port}/inferd"])


def lay(mosquitto: Mosquitto, status: bytes) -> None:
    with closing(Listener(mosquitto.port)) as speaker:
        for topic in (*OURS, *OTHERS):
            speaker.retain(topic, status if topic.endswith("status") else b"{}")
        eventually(lambda: set(OURS) <= set(speaker.topics()), "what is retained")


def test_a_device_that_is_gone_is_cleared_and_others_are_not(mosquitto: Mosquitto) -> None:
    lay(mosquitto, b"offline")
    done = run(mosquitto.port)
    assert done.exit_code == 0, done.exception
    assert done.output == "old: 4 retained topics cleared\n"
    assert [retained(mosquitto.port, topic) for topic in OURS] == [None] * len(OURS)
    assert all(retained(mosquitto.port, topic) is not None for topic in OTHERS)


def test_a_device_that_is_online_is_left_alone(mosquitto: Mosquitto) -> None:
    lay(mosquitto, b"online")
    assert "is online; stop it first" in str(run(mosquitto.port).exception)
    assert retained(mosquitto.port, OURS[1]) is not None


def test_what_is_no_device_or_no_broker_is_named() -> None:
    assert isinstance(run(dead_port(), "#").exception, LinkError)
    done = CliRunner().invoke(forget, ["old", "--timeout", "0.3", "--broker", f"mqtt://127.0.0.1:{dead_port()}"])
    assert "nothing listens there" in str(done.exception)
