"""Sealed requests: obeyed once, of this start only, for the verb they were made for; plain ones are refused."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from inferd.records import Incoming, Message
from inferd.telemetry.encryption.payload import KEY_BYTES, PayloadCipher
from inferd.telemetry.encryption.requests import RequestDecryptor
from inferd.telemetry.remote.request_filter import REMEMBERED, AcceptedRequest, RejectedRequest, RequestFilter
from inferd.wire.requests import STALE
from inferd.wire.telemetry import Event, Header, encode

pytest.importorskip("cryptography", reason="pip install cryptography")

KEY = bytes(range(KEY_BYTES))


@dataclass
class Device:
    """A device that has sent so many messages since it started."""

    device: str = "pi"
    boot_id: str = "c0ffeec0ffee"
    seq: int = 50


class World:
    """A gate that opens requests, and somebody who asks."""

    def __init__(self, folder: Path) -> None:
        (folder / "key").write_bytes(KEY)
        self.device = Device()
        self.gate = RequestFilter("inferd", "pi", RequestDecryptor(self.device, str(folder / "key")))
        self.now_s = 1000.0

    def sealed(self, request_id: str, verb: str = "ping", key: bytes = KEY, **quoted: object) -> bytes:
        heard = Header(1, "pi", "", self.device.boot_id, self.device.seq)
        request = json.dumps({"id": request_id}).encode()
        return PayloadCipher(key).seal_request(verb, msgspec.structs.replace(heard, **quoted), request)

    def ask(self, payload: bytes, verb: str = "ping") -> AcceptedRequest | RejectedRequest | None:
        self.now_s += 1
        return self.gate.admit(Incoming(f"inferd/pi/request/{verb}", payload), self.now_s)

    def why(self, payload: bytes, verb: str = "ping") -> str:
        turned = self.ask(payload, verb)
        assert isinstance(turned, RejectedRequest)
        return turned.why


def forged(device: str, boot_id: str, seq: int, hidden: str) -> bytes:
    """Return what looks like a sealed request."""
    sealed = base64.b64encode(hidden.encode("utf-8", "surrogatepass")).decode()
    return json.dumps({"device": device, "boot_id": boot_id, "seq": seq, "sealed": sealed}).encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_sealed_request_is_let_in(world: World) -> None:
    asked = world.ask(world.sealed("1"))
    assert isinstance(asked, AcceptedRequest)
    assert (asked.verb, asked.id) == ("ping", "1")


def test_a_sealed_request_shows_neither_its_id_nor_what_it_says(world: World) -> None:
    assert set(json.loads(world.sealed("my-own-id"))) == {"device", "boot_id", "seq", "sealed"}
    assert b"my-own-id" not in world.sealed("my-own-id")


@pytest.mark.parametrize("payload", [b'{"id":"1"}', b"", b"[]", b'{"id":"1","sealed":"AAAA"}'])
def test_a_plain_request_is_refused_by_name(world: World, payload: bytes) -> None:
    assert world.why(payload).startswith("this device takes sealed requests only (mqtt.seal_key_file)")


def test_a_recorded_request_is_not_obeyed_again(world: World) -> None:
    recorded = world.sealed("1")
    assert isinstance(world.ask(recorded), AcceptedRequest)
    assert world.ask(recorded) is None


def test_a_recorded_request_is_not_obeyed_as_another_verb(world: World) -> None:
    assert "for another verb" in world.why(world.sealed("1", "ping"), "reload")


def test_a_request_of_another_key_is_refused(world: World) -> None:
    assert "another key" in world.why(world.sealed("1", key=bytes(KEY_BYTES)))


def test_a_request_for_another_device_is_refused(world: World) -> None:
    assert "sealed for 'hall'" in world.why(world.sealed("1", device="hall"))


def test_a_request_that_was_recorded_before_a_restart_is_refused(world: World) -> None:
    recorded = world.sealed("1")
    world.device.boot_id = "bbbbbbbbbbbb"
    assert world.why(recorded).startswith(STALE)


def test_who_quotes_what_is_too_old_is_told_under_his_own_id(world: World) -> None:
    turned = world.ask(world.sealed("mine", boot_id="bbbbbbbbbbbb"))
    assert isinstance(turned, RejectedRequest)
    assert turned.id == "mine"


@pytest.mark.parametrize(
    ("key", "value"), [("device", "hall"), ("boot_id", "bbbbbbbbbbbb"), ("seq", 51), ("sealed", "?")]
)
def test_a_request_that_was_altered_is_refused(world: World, key: str, value: object) -> None:
    altered = json.dumps(json.loads(world.sealed("1")) | {key: value}).encode()
    assert "encrypted with another key, for another verb, or altered" in world.why(altered)


def test_a_request_cannot_quote_what_was_never_said(world: World) -> None:
    assert world.why(world.sealed("1", seq=51)).startswith(STALE)


def test_what_is_remembered_no_longer_is_too_old(world: World) -> None:
    recorded = world.sealed("first")
    assert isinstance(world.ask(recorded), AcceptedRequest)
    for number in range(REMEMBERED):
        world.device.seq += 1
        assert isinstance(world.ask(world.sealed(str(number))), AcceptedRequest)
    assert world.why(recorded).startswith(STALE)
    assert isinstance(world.ask(world.sealed("and on")), AcceptedRequest)


def test_a_message_of_the_device_is_no_request(world: World) -> None:
    header = Header(1, "pi", "", world.device.boot_id, 7)
    told = PayloadCipher(KEY).seal(Message("event", encode(header, Event("agent.started", "info", ""))))
    assert isinstance(world.ask(told.payload), RejectedRequest)


@settings(deadline=None)  # a busy machine is no fault
@given(
    some.lists(some.binary(max_size=200) | some.builds(forged, some.text(), some.text(), some.integers(), some.text()))
)
def test_whatever_comes_nothing_is_let_in_without_the_key(payloads: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        assert not any(isinstance(world.ask(payload), AcceptedRequest) for payload in payloads)


def test_without_a_key_requests_are_plain(world: World) -> None:
    gate = RequestFilter("inferd", "pi", RequestDecryptor(world.device, ""))
    assert isinstance(gate.admit(Incoming("inferd/pi/request/ping", b'{"id":"1"}'), 1.0), AcceptedRequest)


def test_a_key_that_is_gone_lets_nobody_in(world: World, tmp_path: Path) -> None:
    asked = world.sealed("1")
    (tmp_path / "key").unlink()
    assert "cannot be read" in world.why(asked)
