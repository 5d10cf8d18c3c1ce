"""What the broker missed: it comes, later, to replay, in its order; and nothing of it under a live topic."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.records import LinkEvent, Message
from inferd.system.clock import Clock, SystemClock
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.link import FRESH_S, MqttLink
from inferd.telemetry.spool.spool import SpoolLocation
from inferd.wire.replay import MissedMessage, decode_missed
from inferd.wire.telemetry import Header, encode, idle_model

SOON = Backoff(first_s=0.05, longest_s=0.05)
CLOSE_S = 5.0
DEVICE = """
import sys
from pathlib import Path
from inferd.config.settings import Mqtt
from inferd.records import Message
from inferd.system.clock import Clock, SystemClock
from inferd.telemetry.mqtt.link import MqttLink
from inferd.telemetry.spool.spool import SpoolLocation
folder = Path(sys.argv[2])
place = SpoolLocation(folder / "spool", folder / "run", 10**6, 5.0)
link = MqttLink(Mqtt(host="127.0.0.1", port=int(sys.argv[1])), "pi", SystemClock(), place=place)
for number in range(100):
    link.publish(Message("event", b"%d" % number, 1, lane="event"))
print("published", flush=True)
sys.stdin.read()
"""


class SteppingClock(SystemClock):
    """The machine's clock, which a test may set ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0
        machine = self.monotonic_ns
        self.monotonic_ns = lambda: machine() + round(self.ahead_s * 1e9)


@contextmanager
def linked(port: int, folder: Path, clock: Clock | None = None, limit_bytes: int = 10**6) -> Iterator[MqttLink]:
    place = SpoolLocation(folder / "spool", folder / "run", limit_bytes, 0.05)
    settings = Mqtt(host="127.0.0.1", port=port)
    link = MqttLink(settings, "pi", clock or SystemClock(), SOON, place=place)
    try:
        yield link
    finally:
        link.close(CLOSE_S)


@pytest.fixture
def listener(mosquitto: broker.Mosquitto) -> Iterator[broker.Listener]:
    heard = broker.Listener(mosquitto.port)
    yield heard
    heard.close()


def event(text: bytes) -> Message:
    return Message("event", text, 1, lane="event")


def numbers(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def arrived(listener: broker.Listener, topic: str, count: int) -> None:
    broker.eventually(lambda: len(listener.payloads(f"inferd/pi/{topic}")) >= count, f"{count} on {topic}")


def batches(listener: broker.Listener) -> list[list[MissedMessage]]:
    return [decode_missed(payload) for payload in listener.payloads("inferd/pi/replay")]


def replayed(listener: broker.Listener, topic: str = "event") -> list[bytes]:
    return [bytes(one.message) for batch in batches(listener) for one in batch if one.topic == topic]


def replay_arrived(listener: broker.Listener, count: int, topic: str = "event") -> None:
    broker.eventually(lambda: len(replayed(listener, topic)) >= count, f"{count} of {topic} on replay")


def test_what_was_missed_comes_in_order_to_replay_and_what_is_new_to_its_live_topic(
    mosquitto: broker.Mosquitto, listener: broker.Listener, tmp_path: Path
) -> None:
    gate = broker.Gate(mosquitto.port)
    clock = SteppingClock()
    with linked(gate.port, tmp_path, clock) as link:
        broker.eventually(lambda: link.connected, "the link to connect")
        gate.cut()
        broker.eventually(lambda: not link.connected, "the link to notice")
        for number in numbers(300):
            link.publish(event(number))
        clock.ahead_s = 2 * FRESH_S
        gate.mend()
        broker.eventually(lambda: link.connected, "the link to come back")
        link.publish(event(b"new"))
        replay_arrived(listener, 300)
    assert replayed(listener) == numbers(300)
    assert listener.payloads("inferd/pi/event") == [b"new"]
    gate.close()


def test_results_that_were_missed_go_to_replay_too(
    mosquitto: broker.Mosquitto, listener: broker.Listener, tmp_path: Path
) -> None:
    gate = broker.Gate(mosquitto.port)
    clock = SteppingClock()
    with linked(gate.port, tmp_path, clock) as link:
        broker.eventually(lambda: link.connected, "the link to connect")
        gate.cut()
        broker.eventually(lambda: not link.connected, "the link to notice")
        for number in numbers(20):
            link.publish(Message("cam/result", number))
        clock.ahead_s = 2 * FRESH_S
        gate.mend()
        replay_arrived(listener, 20, "cam/result")
    assert replayed(listener, "cam/result") == numbers(20)
    assert listener.payloads("inferd/pi/cam/result") == []
    gate.close()


def test_what_is_retained_is_never_replayed(
    mosquitto: broker.Mosquitto, listener: broker.Listener, tmp_path: Path
) -> None:
    gate = broker.Gate(mosquitto.port)
    clock = SteppingClock()
    with linked(gate.port, tmp_path, clock) as link:
        broker.eventually(lambda: link.connected, "the link to connect")
        gate.cut()
        broker.eventually(lambda: not link.connected, "the link to notice")
        link.publish(Message("cam/state", b"old", 1, retain=True))
        link.publish(Message("cam/state", b"new", 1, retain=True))
        link.publish(event(b"0"))
        clock.ahead_s = 2 * FRESH_S
        gate.mend()
        replay_arrived(listener, 1)
    assert listener.payloads("inferd/pi/cam/state") == [b"new"]
    assert replayed(listener, "cam/state") == []
    gate.close()


def test_a_device_that_is_killed_without_a_broker_loses_nothing(
    mosquitto: broker.Mosquitto, listener: broker.Listener, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", DEVICE, str(broker.dead_port()), str(tmp_path)]
    device = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert device.stdout is not None
    assert device.stdout.readline() == b"published\n"
    device.send_signal(signal.SIGKILL)
    device.communicate()
    with linked(mosquitto.port, tmp_path):
        replay_arrived(listener, 100)
    assert replayed(listener) == numbers(100)


def test_what_was_acknowledged_does_not_come_again_after_a_restart(
    mosquitto: broker.Mosquitto, listener: broker.Listener, tmp_path: Path
) -> None:
    with linked(mosquitto.port, tmp_path) as link:
        for number in numbers(50):
            link.publish(event(number))
        arrived(listener, "event", 50)
    with linked(mosquitto.port, tmp_path) as link:
        link.publish(event(b"after"))
        arrived(listener, "event", 51)
    assert replayed(listener) == []


def test_a_stalled_broker_gets_what_waited_as_missed(
    mosquitto: broker.Mosquitto, listener: broker.Listener, tmp_path: Path
) -> None:
    clock = SteppingClock()
    with linked(mosquitto.port, tmp_path, clock) as link:
        broker.eventually(lambda: link.connected, "the link to connect")
        mosquitto.pause()
        for number in numbers(400):
            link.publish(event(number))
        clock.ahead_s = 2 * FRESH_S
        mosquitto.resume()
        broker.eventually(
            lambda: len(listener.payloads("inferd/pi/event") + replayed(listener)) >= 400,
            "all",
        )
    live, late = listener.payloads("inferd/pi/event"), replayed(listener)
    assert live + late == numbers(400)
    assert len(live) <= 16


def test_what_the_spool_has_lost_is_told_and_counted(tmp_path: Path) -> None:
    with linked(broker.dead_port(), tmp_path, limit_bytes=20_000) as link:
        for _ in range(400):
            link.publish(event(b"x" * 300))
        broker.eventually(lambda: link.dropped() > 0, "losses")
        news = heard_of(link)
    assert news[0].kind == "link.lossy"
    assert "of 'event' are lost so far" in news[0].why


def heard_of(*links: MqttLink) -> list[LinkEvent]:
    """Return the first news that one of the links has."""
    news: list[LinkEvent] = []

    def told() -> bool:
        for link in links:
            news.extend(link.events())
        return bool(news)

    broker.eventually(told, "news")
    return news


def info(boot_id: str) -> Message:
    return Message("info", encode(Header(1, "pi", "", boot_id, 1), idle_model("none", "")), 1, retain=True)


def has_info(port: int, boot_id: str) -> bool:
    return boot_id.encode() in (broker.retained(port, "inferd/pi/info") or b"")


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_second_device_of_the_same_id_is_noticed_and_named(mosquitto: broker.Mosquitto, version: str) -> None:
    settings = Mqtt(host="127.0.0.1", port=mosquitto.port, version=version)  # type: ignore[arg-type]  # one of the two
    one = MqttLink(settings, "pi", SystemClock(), Backoff(0.05, 0.1))
    one.publish(info("aaaaaaaaaaaa"))
    broker.eventually(lambda: one.connected, "the first to connect")
    broker.eventually(lambda: broker.retained(mosquitto.port, "inferd/pi/info") is not None, "its info")
    other = MqttLink(settings, "pi", SystemClock(), Backoff(0.05, 0.1))
    other.publish(info("bbbbbbbbbbbb"))
    news = heard_of(one, other)
    one.close(CLOSE_S)
    other.close(CLOSE_S)
    assert news[0].kind == "link.twin"
    assert "give each device an id of its own" in news[0].why


def test_a_device_that_starts_again_is_not_its_own_twin(mosquitto: broker.Mosquitto, tmp_path: Path) -> None:
    for boot_id in ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"):
        with linked(mosquitto.port, tmp_path) as link:
            link.publish(info(boot_id))
            broker.eventually(partial(has_info, mosquitto.port, boot_id), "info")
            assert link.events() == []
            assert link.connected
