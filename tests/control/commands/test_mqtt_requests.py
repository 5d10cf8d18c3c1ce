"""Requests over the broker: only what is in the table has an effect, and each is answered once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as some

from inferd.config.settings import Mqtt
from inferd.control.commands.mqtt_requests import MOST_WAITING, MqttRequests
from inferd.control.reporting.publisher import Publisher
from inferd.errors import StoreError
from inferd.records import Incoming
from inferd.system.clock import CountingClock
from inferd.telemetry.memory_link import MemoryLink
from inferd.wire.requests import VERBS


class Slow:
    """An answer that comes when the test wants it."""

    def __init__(self) -> None:
        self.answer: str | None = None
        self.fault = ""
        self.closed = False

    def told(self) -> str | None:
        if self.fault:
            raise StoreError("cam", self.fault)
        return self.answer

    def close(self) -> None:
        self.closed = True


class World:
    """A remote whose verbs only remember that they were called."""

    def __init__(self) -> None:
        self.clock = CountingClock()
        self.link = MemoryLink(Mqtt(), "pi")
        self.done: list[tuple[str, object]] = []
        self.looks: list[Slow] = []
        say = Publisher("pi", [self.link], self.clock)
        self.remote = MqttRequests(say, Mqtt(), self.clock, {verb: self._verb(verb) for verb in VERBS})

    def ask(self, verb: str, payload: object, **more: Any) -> dict[str, Any] | None:  # Any: JSON
        """Send a request; return the last answer to such, None where there is none."""
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.clock.advance(1)
        before = len(self.link.heard)
        self.remote.heard(Incoming(f"inferd/pi/request/{verb}", payload, **more))
        said = list(self.link.heard)[before:]
        return msgspec.json.decode(said[-1].payload) | {"topic": said[-1].topic} if said else None

    def _verb(self, verb: str) -> Callable[[object], str | Slow]:
        def does(arguments: object) -> str | Slow:
            self.done.append((verb, arguments))
            if verb == "snapshot":
                self.looks.append(Slow())
                return self.looks[-1]
            if verb == "reload":
                raise StoreError("inferd.toml", "is not TOML")
            return '{"x":1}' if verb != "status" else json.dumps("y" * 30_000)

        return does


def test_a_request_is_answered_with_its_id() -> None:
    told = World().ask("ping", {"id": "a7"})
    assert told is not None
    assert (told["topic"], told["id"], told["status"], told["data"]) == (
        "inferd/pi/response/ping",
        "a7",
        "ok",
        {"x": 1},
    )
    assert (told["device"], told["schema_version"], told["error"]) == ("pi", 1, None)


def test_what_goes_wrong_is_answered_with_a_sentence() -> None:
    told = World().ask("reload", {"id": "1"})
    assert told is not None
    assert (told["status"], told["data"], told["error"]) == ("error", None, "inferd.toml: is not TOML")


def test_a_repeated_id_is_done_and_answered_once() -> None:
    world = World()
    assert world.ask("ping", {"id": "1"}) is not None
    assert world.ask("ping", {"id": "1"}) is None
    assert len(world.done) == 1


def test_a_retained_request_has_no_effect() -> None:
    world = World()
    told = world.ask("reload", {"id": "1"}, retained=True)
    assert told is not None
    assert "must not be retained" in told["error"]
    assert world.done == []


def test_an_answer_goes_to_the_topic_that_mqtt_5_asks_for() -> None:
    told = World().ask("ping", {"id": "1"}, response_topic="me/answers", correlation=b"7")
    assert told is not None
    assert told["topic"] == "me/answers"


def test_an_answer_that_is_too_long_is_none() -> None:
    told = World().ask("status", {"id": "1"})
    assert told is not None
    assert "is the most; ask on the device itself" in told["error"]


def test_an_answer_that_takes_its_time_comes_when_it_is_there() -> None:
    world = World()
    assert world.ask("snapshot", {"id": "1"}) is None
    assert world.ask("ping", {"id": "2"}) is not None
    world.remote.turn()
    assert len(world.link.heard) == 2  # online, and the answer to the ping
    world.looks[0].answer = '{"jpeg":""}'
    world.remote.turn()
    told = msgspec.json.decode(world.link.heard[-1].payload)
    assert (told["id"], told["status"], told["data"]) == ("1", "ok", {"jpeg": ""})
    assert world.looks[0].closed


def test_an_answer_that_never_comes_is_a_sentence() -> None:
    world = World()
    world.ask("snapshot", {"id": "1"})
    world.looks[0].fault = "its worker ended"
    world.remote.turn()
    assert msgspec.json.decode(world.link.heard[-1].payload)["error"] == "cam: its worker ended"
    world.remote.turn()
    assert len(world.link.heard) == 2


def test_only_so_many_may_wait_for_an_answer() -> None:
    world = World()
    answers = [world.ask("snapshot", {"id": str(number)}) for number in range(MOST_WAITING + 1)]
    assert answers[:-1] == [None] * MOST_WAITING
    assert answers[-1] is not None
    assert "are under way already" in answers[-1]["error"]
    world.remote.close()
    assert all(look.closed for look in world.looks)


@given(
    some.text(max_size=20), some.binary(max_size=80) | some.text(max_size=20).map(lambda text: {"id": text, "data": {}})
)
def test_outside_the_table_nothing_has_an_effect(verb: str, payload: object) -> None:
    world = World()
    told = world.ask(verb, payload)
    if verb not in VERBS:
        assert world.done == []
    assert told is None or told["topic"].startswith("inferd/pi/response/")
