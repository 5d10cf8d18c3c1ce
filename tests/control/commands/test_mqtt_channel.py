"""Requests over MQTT: only verbs of the table have an effect, as far as their level is allowed; each is answered once."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from fixtures.agents.commands import FrameWorker, RecordingTable
from inferd.config.mqtt import request_access
from inferd.config.settings import Mqtt
from inferd.control.commands.mqtt_channel import MOST_WAITING, MqttChannel
from inferd.control.reporting.publisher import Publisher
from inferd.errors import StoreError
from inferd.records import Incoming
from inferd.system.clock import CountingClock
from inferd.telemetry.memory_link import MemoryLink
from inferd.wire.requests import VERBS

DATA = {
    "interval": {"interval_s": 5},
    "models/activate": {"pipeline": "cam", "model": "cat"},
    "models/release": {"model": "cat"},
    "models/forget": {"model": "cat"},
    "label": {"pipeline": "cam", "label": "cat"},
}


class World:
    """A channel whose verbs only record that they were called."""

    def __init__(self, mqtt: Mqtt = Mqtt(requests="all", snapshots=True)) -> None:  # noqa: B008 - frozen
        self.clock = CountingClock()
        self.link = MemoryLink(mqtt, "pi")
        self.worker = FrameWorker(self.clock)
        self.table = RecordingTable(
            {"reload": StoreError("inferd.toml", "is not TOML"), "status": json.dumps("y" * 30_000).encode()}
        )
        publisher = Publisher("pi", [self.link], self.clock)
        self.channel = MqttChannel(publisher, mqtt, self.clock, self.table, self.worker.request)

    def ask(self, verb: str, payload: object, **more: Any) -> dict[str, Any] | None:  # Any: JSON
        """Send a request; return the last answer to such, None where there is none."""
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.clock.advance(1)
        before = len(self.link.heard)
        self.channel.handle(Incoming(f"inferd/pi/request/{verb}", payload, **more))
        answers = list(self.link.heard)[before:]
        return msgspec.json.decode(answers[-1].payload) | {"topic": answers[-1].topic} if answers else None


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


def test_a_verb_that_fails_is_answered_with_a_sentence() -> None:
    told = World().ask("reload", {"id": "1"})
    assert told is not None
    assert (told["status"], told["data"], told["error"]) == ("error", None, "inferd.toml: is not TOML")


def test_a_repeated_id_is_carried_out_and_answered_once() -> None:
    world = World()
    assert world.ask("ping", {"id": "1"}) is not None
    assert world.ask("ping", {"id": "1"}) is None
    assert len(world.table.done) == 1


def test_a_retained_request_has_no_effect() -> None:
    world = World()
    told = world.ask("reload", {"id": "1"}, retained=True)
    assert told is not None
    assert "must not be retained" in told["error"]
    assert world.table.done == []


def test_an_answer_goes_to_the_topic_that_mqtt_5_asks_for() -> None:
    told = World().ask("ping", {"id": "1"}, response_topic="inferd/pi/response/mine", correlation=b"7")
    assert told is not None
    assert told["topic"] == "inferd/pi/response/mine"


def test_an_answer_that_is_too_long_becomes_a_sentence() -> None:
    told = World().ask("status", {"id": "1"})
    assert told is not None
    assert "is the most; ask on the device itself" in told["error"]


def test_a_snapshot_is_answered_when_its_frame_comes() -> None:
    world = World()
    assert world.ask("snapshot", {"id": "1"}) is None
    assert world.ask("ping", {"id": "2"}) is not None
    world.channel.turn()
    assert len(world.link.heard) == 2  # online, and the answer to the ping
    world.worker.give(b"jpeg")
    world.channel.turn()
    told = msgspec.json.decode(world.link.heard[-1].payload)
    assert (told["id"], told["status"], told["data"]["jpeg"]) == ("1", "ok", "anBlZw==")


def test_a_snapshot_that_never_comes_is_answered_once_with_a_sentence() -> None:
    world = World()
    world.ask("snapshot", {"id": "1"})
    world.worker.end()
    world.channel.turn()
    assert "its worker ended" in msgspec.json.decode(world.link.heard[-1].payload)["error"]
    world.channel.turn()
    assert len(world.link.heard) == 2


def test_only_so_many_snapshots_may_wait() -> None:
    world = World()
    answers = [world.ask("snapshot", {"id": str(number)}) for number in range(MOST_WAITING + 1)]
    assert answers[:-1] == [None] * MOST_WAITING
    assert answers[-1] is not None
    assert "are under way" in answers[-1]["error"]
    world.channel.close()


def test_no_picture_leaves_where_snapshots_are_off() -> None:
    world = World(Mqtt(requests="all"))
    told = world.ask("snapshot", {"id": "1"})
    assert told is not None
    assert "mqtt.snapshots" in told["error"]
    assert world.worker.asked == []


@pytest.mark.parametrize(
    ("requests", "levels"),
    [
        ("none", ()),
        (False, ()),
        ("read", ("read",)),
        ("operate", ("read", "operate")),
        ("all", ("read", "operate", "admin")),
        (True, ("read", "operate", "admin")),
    ],
)
def test_only_verbs_of_an_allowed_level_are_carried_out(requests: Any, levels: tuple[str, ...]) -> None:  # Any: any
    for verb, row in VERBS.items():
        world = World(Mqtt(requests=requests, snapshots=True))
        data = DATA.get(verb, {"pipeline": "cam"} if "pipeline" in row.takes.__struct_fields__ else {})
        told = world.ask(verb, {"id": "1", "data": data})
        done = bool(world.table.done or world.worker.asked)
        assert done == (row.level in levels), verb
        assert done or (told is not None and told["error"] == refusal(verb, row.level, requests)), verb


def refusal(verb: str, level: str, requests: object) -> str:
    access = {True: "all", False: "none"}.get(requests, requests) if isinstance(requests, bool) else requests
    return f"mqtt.requests: mqtt.requests allows {access!r}, and {verb} needs {level!r}"


@pytest.mark.parametrize(
    ("mqtt", "access"),
    [
        (Mqtt(), "read"),
        (Mqtt(password_file="/p"), "operate"),  # noqa: S106 - a path
        (Mqtt(tls=True, cert_file="/c", key_file="/k"), "operate"),
        (Mqtt(username="pi"), "read"),
        (Mqtt(seal_key_file="/k"), "operate"),
        (Mqtt(requests=True), "all"),
        (Mqtt(password_file="/p", requests="read"), "read"),  # noqa: S106 - a path
    ],
)
def test_the_default_level_depends_on_how_the_device_proves_itself(mqtt: Mqtt, access: str) -> None:
    assert request_access(mqtt) == access


@given(
    some.text(max_size=20), some.binary(max_size=80) | some.text(max_size=20).map(lambda text: {"id": text, "data": {}})
)
def test_outside_the_table_nothing_has_an_effect(verb: str, payload: object) -> None:
    world = World()
    told = world.ask(verb, payload)
    if verb not in VERBS:
        assert world.table.done == []
    assert told is None or told["topic"].startswith("inferd/pi/response/")


def test_deep_nesting_is_refused_by_name() -> None:
    world = World()
    for payload in (
        b"[" * 2000,
        b'{"id":"1","data":' + b"[" * 2000,
        b'{"id":"2","x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ):
        told = world.ask("ping", payload)
        assert told is not None
        assert told["status"] == "error"
    assert world.table.done == []
