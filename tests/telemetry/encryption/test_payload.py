from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Message
from inferd.system.clock import SystemClock
from inferd.telemetry.connection_errors import BrokerRefused
from inferd.telemetry.encryption.payload import KEY_BYTES, PayloadCipher, sealer
from inferd.telemetry.mqtt.link import MqttLink
from inferd.telemetry.mqtt.subscriber import Subscriber
from inferd.telemetry.outgoing.batches import Batch
from inferd.wire.replay import decode_missed
from inferd.wire.telemetry import Event, Header, encode

pytest.importorskip("cryptography", reason="pip install cryptography")

KEY = bytes(range(KEY_BYTES))


def event(seq: int = 7, device: str = "kitchen") -> Message:
    header = Header(1, device, "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", seq)
    return Message("event", encode(header, Event("worker.died", "error", "a person in the hall")), 1)


def test_what_was_sealed_can_be_opened_with_the_key() -> None:
    sealed = PayloadCipher(KEY).seal(event())
    assert PayloadCipher(KEY).open(sealed.payload) == event().payload


def test_sealed_nothing_can_be_read_but_whose_it_is_and_when() -> None:
    told = json.loads(PayloadCipher(KEY).seal(event()).payload)
    assert set(told) == {"schema_version", "device", "time", "boot_id", "seq", "sealed"}
    assert "person" not in told["sealed"]


def test_the_same_message_is_never_sealed_the_same_way_twice() -> None:
    assert PayloadCipher(KEY).seal(event()) != PayloadCipher(KEY).seal(event())


@pytest.mark.parametrize(("key", "value"), [("device", "hall"), ("boot_id", "000000000000"), ("seq", 8)])
def test_a_message_cannot_be_given_out_as_another(key: str, value: str | int) -> None:
    told = json.loads(PayloadCipher(KEY).seal(event()).payload)
    with pytest.raises(LinkError, match="encrypted with another key, or altered"):
        PayloadCipher(KEY).open(json.dumps(told | {key: value}).encode())


@pytest.mark.parametrize("sealed", ["", "AAAA", "not base64!", "A" * 200])
def test_what_is_no_sealed_message_is_refused(sealed: str) -> None:
    told = json.loads(PayloadCipher(KEY).seal(event()).payload)
    with pytest.raises(LinkError):
        PayloadCipher(KEY).open(json.dumps(told | {"sealed": sealed}).encode())


def test_a_watcher_opens_every_message_of_a_batch() -> None:
    packed = Batch((event(7), event(8))).packed(PayloadCipher(KEY).seal)
    opened = decode_missed(PayloadCipher(KEY).open_missed(packed.payload))
    assert [bytes(one.message) for one in opened] == [event(7).payload, event(8).payload]


@pytest.mark.parametrize("payload", [b"", b"{}", b"online", b'[{"topic":"event","message":{}}]'])
def test_who_has_a_key_takes_no_batch_that_is_not_sealed(payload: bytes) -> None:
    with pytest.raises(LinkError, match="sealed"):
        PayloadCipher(KEY).open_missed(payload)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(LinkError, match="another key"):
        PayloadCipher(bytes(KEY_BYTES)).open(PayloadCipher(KEY).seal(event()).payload)


@pytest.mark.parametrize("payload", [b"online", b"", b'{"name": "Kitchen"}'])
def test_what_has_no_header_is_left_as_it_is(payload: bytes) -> None:
    assert PayloadCipher(KEY).seal(Message("status", payload)).payload == payload


@pytest.mark.parametrize("payload", [b"online", b"", b'{"name": "Kitchen"}', event().payload])
def test_who_has_a_key_believes_nothing_that_is_not_sealed(payload: bytes) -> None:
    with pytest.raises(LinkError, match="it is not sealed"):
        PayloadCipher(KEY).open(payload)


def test_a_batch_with_one_message_that_is_not_sealed_is_refused_as_a_whole() -> None:
    mixed = Batch((PayloadCipher(KEY).seal(event(7)), event(8))).packed(None)
    with pytest.raises(LinkError, match="it is not sealed"):
        PayloadCipher(KEY).open_missed(mixed.payload)


@pytest.mark.parametrize("content", [KEY, KEY.hex().encode(), KEY.hex().encode() + b"\n"])
def test_a_key_file_holds_octets_or_hex_digits(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    made = sealer(str(tmp_path / "key"))
    assert made is not None
    assert made.open(PayloadCipher(KEY).seal(event()).payload) == event().payload


@pytest.mark.parametrize("content", [b"", b"short", b"zz" * 32, b"\xff" * 31])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BrokerRefused, match=r"openssl rand -hex 32"):
        sealer(str(tmp_path / "key"))


def test_a_key_file_that_is_missing_is_named_and_nothing_leaves_unsealed(
    mosquitto: broker.Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Mqtt(host="127.0.0.1", port=mosquitto.port, seal_key_file=str(tmp_path / "absent"))
    link = MqttLink(settings, "kitchen", SystemClock())
    link.publish(event())
    broker.eventually(lambda: "mqtt.seal_key_file" in caplog.text, "a warning")
    assert not link.connected
    link.close(1.0)


def test_the_broker_hears_what_is_sealed_and_a_watcher_with_the_key_what_is_in_it(
    mosquitto: broker.Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    settings = Mqtt(host="127.0.0.1", port=mosquitto.port, seal_key_file=str(tmp_path / "key"))
    listener = broker.Listener(mosquitto.port)
    with Subscriber(settings, ["inferd/#"]) as watcher:
        broker.eventually(lambda: watcher.ready, "the watcher")
        link = MqttLink(settings, "kitchen", SystemClock())
        link.publish(event())
        broker.eventually(lambda: "inferd/kitchen/event" in listener.topics(), "the event")
        heard = {}

        def has_heard() -> bool:
            heard.update({one.topic: one.payload for one in watcher.pop_all()})
            return "inferd/kitchen/event" in heard

        broker.eventually(has_heard, "the watcher to hear it")
        link.close(5.0)
    assert heard["inferd/kitchen/event"] == event().payload
    assert b"person" not in listener.payloads("inferd/kitchen/event")[0]
    listener.close()


def test_a_watcher_with_the_key_hears_of_what_is_not_sealed_only_the_status(
    mosquitto: broker.Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    settings = Mqtt(host="127.0.0.1", port=mosquitto.port, seal_key_file=str(tmp_path / "key"))
    forger = broker.Listener(mosquitto.port)
    heard: list[tuple[str, bytes]] = []
    with Subscriber(settings, ["inferd/#"]) as watcher:
        broker.eventually(lambda: watcher.ready, "the watcher")
        forger.say("inferd/kitchen/event", event().payload)
        forger.say("inferd/kitchen/replay", Batch((event(),)).packed(None).payload)
        forger.say("inferd/kitchen/status", event().payload)
        forger.say("inferd/kitchen/status", b"online")

        def has_heard() -> bool:
            heard.extend((one.topic, one.payload) for one in watcher.pop_all())
            return bool(heard)

        broker.eventually(has_heard, "the status")
        assert heard == [("inferd/kitchen/status", b"online")]
        assert watcher.unreadable == 3
    forger.close()
