"""What every link must do. A new one adds a world to WORLDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.plugins import LINKS, Link, find
from inferd.records import Incoming, Message
from inferd.system.clock import SystemClock
from inferd.telemetry.memory_link import MemoryLink
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.link import MqttLink

MAX_BUFFERED = 5
DEVICE = "pi"
CLOSE_S = 5.0


class World(Protocol):
    """A link, and what is beyond it."""

    link: Link

    def heard(self) -> list[tuple[str, bytes]]:
        """Return topic (below the device) and payload of all that arrived."""

    def cut(self) -> None:
        """Cut the way to the broker; return when both sides know."""

    def mend(self) -> None:
        """Mend the way; the link comes back in its own time."""

    def ask(self, topic: str, payload: bytes) -> None:
        """Publish to a topic below the device, as somebody who asks it."""

    def close(self) -> None:
        """End everything."""


class MemoryWorld:
    def __init__(self, _: Path) -> None:
        self.memory = MemoryLink(Mqtt(max_buffered=MAX_BUFFERED), DEVICE, SystemClock())
        self.link: Link = self.memory

    def heard(self) -> list[tuple[str, bytes]]:
        return [(one.topic.removeprefix(f"inferd/{DEVICE}/"), one.payload) for one in list(self.memory.heard)]

    def cut(self) -> None:
        self.memory.cut()

    def mend(self) -> None:
        self.memory.mend()

    def ask(self, topic: str, payload: bytes) -> None:
        self.memory.hear(Incoming(f"inferd/{DEVICE}/{topic}", payload))

    def close(self) -> None:
        self.link.close(CLOSE_S)


class MqttWorld:
    def __init__(self, folder: Path) -> None:
        if broker.PROGRAM is None:
            pytest.skip("there is no mosquitto; apt-get install mosquitto")
        self._mosquitto = broker.Mosquitto(folder)
        self._listener = broker.Listener(self._mosquitto.port)
        self._gate = broker.Gate(self._mosquitto.port)
        settings = Mqtt(host="127.0.0.1", port=self._gate.port, max_buffered=MAX_BUFFERED)
        self.mqtt = MqttLink(settings, DEVICE, SystemClock(), Backoff(first_s=0.05, longest_s=0.05))
        self.link: Link = self.mqtt
        broker.eventually(lambda: self.mqtt.connected, "the link to connect")

    def heard(self) -> list[tuple[str, bytes]]:
        return [
            (message.topic.removeprefix(f"inferd/{DEVICE}/"), bytes(message.payload))
            for message in list(self._listener.heard)
        ]

    def cut(self) -> None:
        self._gate.cut()
        broker.eventually(lambda: not self.mqtt.connected, "the link to notice")
        broker.eventually(lambda: self.heard()[-1:] == [("status", b"offline")], "the broker to say so")

    def mend(self) -> None:
        self._gate.mend()

    def ask(self, topic: str, payload: bytes) -> None:
        self._listener.say(f"inferd/{DEVICE}/{topic}", payload)

    def close(self) -> None:
        self.link.close(CLOSE_S)
        self._gate.close()
        self._listener.close()
        self._mosquitto.kill()


WORLDS: dict[str, Callable[[Path], World]] = {"memory": MemoryWorld, "mqtt": MqttWorld}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = WORLDS[request.param](tmp_path)
    yield made
    made.close()


def arrives(world: World, topic: str, payload: bytes) -> None:
    broker.eventually(lambda: (topic, payload) in world.heard(), f"{payload!r} on {topic}")


def payloads(world: World, topic: str) -> list[bytes]:
    return [payload for at, payload in world.heard() if at == topic]


@pytest.mark.parametrize("name", WORLDS)
def test_it_is_found_by_its_name(name: str) -> None:
    assert find("link", LINKS, name) in {MemoryLink, MqttLink}


def test_a_message_arrives(world: World) -> None:
    world.link.publish(Message("cam/result", b"{}"))
    arrives(world, "cam/result", b"{}")


def test_messages_of_one_kind_arrive_in_order(world: World) -> None:
    numbers = [str(n).encode() for n in range(100)]
    for number in numbers:
        world.link.publish(Message("event", number, qos=1))
    arrives(world, "event", numbers[-1])
    assert payloads(world, "event") == numbers


def test_a_connected_device_is_online(world: World) -> None:
    arrives(world, "status", b"online")
    assert world.link.connected


def test_a_device_that_is_cut_off_is_offline(world: World) -> None:
    world.cut()
    assert payloads(world, "status")[-1] == b"offline"
    assert not world.link.connected


def test_what_is_published_while_the_broker_is_away_arrives_when_it_is_back(world: World) -> None:
    world.cut()
    world.link.publish(Message("event", b"missed", qos=1))
    world.link.publish(Message("cam/result", b"late"))
    world.mend()
    arrives(world, "event", b"missed")
    arrives(world, "cam/result", b"late")


def test_while_the_broker_is_away_the_oldest_results_are_dropped_and_counted(world: World) -> None:
    world.cut()
    for number in range(MAX_BUFFERED + 3):
        world.link.publish(Message("cam/result", str(number).encode()))
    world.mend()
    arrives(world, "cam/result", str(MAX_BUFFERED + 2).encode())
    assert payloads(world, "cam/result") == [str(number).encode() for number in range(3, MAX_BUFFERED + 3)]
    assert world.link.dropped() == 3


def test_results_never_push_events_out(world: World) -> None:
    world.cut()
    world.link.publish(Message("event", b"alarm", qos=1))
    for number in range(MAX_BUFFERED + 1):
        world.link.publish(Message("cam/result", str(number).encode()))
    world.mend()
    arrives(world, "event", b"alarm")


def test_the_newest_retained_payloads_come_again_on_every_connect_and_online_after_them(world: World) -> None:
    world.link.publish(Message("info", b"old", qos=1, retain=True))
    world.link.publish(Message("info", b"new", qos=1, retain=True))
    world.link.publish(Message("cam/state", b"cat", qos=1, retain=True))
    arrives(world, "cam/state", b"cat")
    world.cut()
    before = len(world.heard())
    world.mend()
    broker.eventually(lambda: len(world.heard()) >= before + 3, "three messages")
    assert world.heard()[before:] == [("info", b"new"), ("cam/state", b"cat"), ("status", b"online")]


def test_of_what_is_retained_only_the_newest_waits_for_the_broker(world: World) -> None:
    world.cut()
    for state in (b"cat", b"dog", b"bird"):
        world.link.publish(Message("cam/state", state, qos=1, retain=True))
    world.mend()
    arrives(world, "cam/state", b"bird")
    assert payloads(world, "cam/state") == [b"bird"]


def test_close_sends_what_waits_and_then_says_offline(world: World) -> None:
    for number in range(200):
        world.link.publish(Message("event", str(number).encode(), qos=1))
    world.link.close(CLOSE_S)
    arrives(world, "status", b"offline")
    assert world.heard()[-2:] == [("event", b"199"), ("status", b"offline")]


def test_close_twice_is_fine(world: World) -> None:
    world.link.close(CLOSE_S)
    world.link.close(CLOSE_S)
    assert not world.link.connected


def test_close_without_a_broker_gives_up(world: World) -> None:
    world.cut()
    world.link.publish(Message("event", b"never", qos=1))
    world.link.close(CLOSE_S)
    assert not world.link.connected


def test_what_is_published_after_close_is_counted_as_dropped(world: World) -> None:
    world.link.close(CLOSE_S)
    world.link.publish(Message("cam/result", b"{}"))
    assert world.link.dropped() == 1


def test_what_is_asked_of_the_device_is_heard_once(world: World) -> None:
    arrives(world, "status", b"online")
    world.ask("request/ping", b'{"id":"1"}')
    heard: list[Incoming] = []

    def has_heard() -> bool:
        heard.extend(world.link.incoming())
        return bool(heard)

    broker.eventually(has_heard, "the request")
    assert [(one.topic, one.payload, one.retained) for one in heard] == [
        (f"inferd/{DEVICE}/request/ping", b'{"id":"1"}', False)
    ]
    assert world.link.incoming() == []


def test_there_are_no_news_of_a_link_that_works(world: World) -> None:
    world.link.publish(Message("event", b"{}", 1))
    arrives(world, "event", b"{}")
    assert world.link.events() == []


def test_a_whole_topic_is_left_as_it_is(world: World) -> None:
    world.link.publish(Message("elsewhere/config", b"{}", 1, absolute=True))
    arrives(world, "elsewhere/config", b"{}")
