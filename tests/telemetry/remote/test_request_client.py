"""Whoever asks a device believes what the device has sealed, and no answer but his own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fixtures.agents.commands import FrameWorker, RecordingTable
from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.control.commands.mqtt_channel import MqttChannel
from inferd.control.reporting.publisher import Publisher
from inferd.errors import LinkError
from inferd.records import Message
from inferd.system.clock import SystemClock
from inferd.telemetry.mqtt.link import MqttLink
from inferd.telemetry.remote.request_client import RequestClient
from inferd.wire.requests import VERBS
from inferd.wire.telemetry import Header, encode, idle_model

pytest.importorskip("cryptography", reason="pip install cryptography")


class Device:
    """A device that answers every request with the verb, after somebody else's that it cannot read."""

    def __init__(self, mqtt: Mqtt) -> None:
        self._link = MqttLink(mqtt, "pi", SystemClock())
        self._say = Publisher("pi", [self._link], SystemClock())
        clock, table = SystemClock(), RecordingTable({verb: f'"{verb}"'.encode() for verb in VERBS})
        self._remote = MqttChannel(self._say, mqtt, clock, table, FrameWorker(clock).request)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def tell(self, boot_id: str = "") -> None:
        """Say `info`, as of this start or of another."""
        header = Header(1, "pi", "", boot_id or self._say.boot_id, self._say.seq)
        self._link.publish(Message("info", encode(header, idle_model("none", "")), 1, retain=True))

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._link.close(5.0)

    def _serve(self) -> None:
        while not self._ended.wait(0.01):
            for asked in self._link.incoming():
                self._remote.handle(msgspec.structs.replace(asked, payload=b"of somebody else"))
                self._remote.handle(asked)


@pytest.fixture
def mqtt(mosquitto: broker.Mosquitto, tmp_path: Path) -> Mqtt:
    (tmp_path / "key").write_bytes(b"k" * 32)
    return Mqtt(host="127.0.0.1", port=mosquitto.port, seal_key_file=str(tmp_path / "key"))


@pytest.fixture
def device(mqtt: Mqtt) -> Iterator[Device]:
    with closing(Device(mqtt)) as made:
        yield made


def ask(mqtt: Mqtt, timeout_s: float = broker.PATIENCE_S) -> bytes:
    with RequestClient(mqtt, "pi", "", SystemClock()) as asker:
        return asker.ask("ping", b"{}", timeout_s)


def test_a_refusal_of_what_somebody_else_asked_does_not_end_our_ask(mqtt: Mqtt, device: Device) -> None:
    device.tell()
    assert ask(mqtt) == b'"ping"'


def test_who_heard_only_of_an_earlier_start_asks_again_as_the_refusal_says(mqtt: Mqtt, device: Device) -> None:
    device.tell("bbbbbbbbbbbb")
    assert ask(mqtt) == b'"ping"'


def test_nothing_is_asked_on_the_word_of_an_info_that_is_not_sealed(mosquitto: broker.Mosquitto, mqtt: Mqtt) -> None:
    plain = msgspec.structs.replace(mqtt, seal_key_file="")
    forger = MqttLink(plain, "pi", SystemClock())
    listener = broker.Listener(mosquitto.port)
    header = Header(1, "pi", "", "c0ffeec0ffee", 100_000)
    forger.publish(Message("info", encode(header, idle_model("none", "")), 1, retain=True))
    broker.eventually(lambda: bool(listener.payloads("inferd/pi/info")), "the forged info")
    with pytest.raises(LinkError, match="encrypted with another key, or not at all"):
        ask(mqtt, 1.0)
    listener.hear_marker()
    assert not [topic for topic in listener.topics() if topic.startswith("inferd/pi/request/")]
    forger.close(5.0)
    listener.close()
