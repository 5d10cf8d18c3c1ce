"""Brokers that take no large packets, and say so, or not: what was missed arrives all the same."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.records import Incoming, Message
from inferd.system.clock import SystemClock
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.inbound import MAX_PAYLOAD_BYTES, InboundQueue
from inferd.telemetry.mqtt.link import MqttLink
from inferd.wire.replay import decode_missed
from inferd.wire.telemetry import LIMIT_BYTES, Event, Header, encode

SOON = Backoff(first_s=0.05, longest_s=0.05)
DEVICE = "camera-front-door-east-wing-second-floor-01"
AT_ONCE_S = -1.0  # every message has missed its moment
SMALL = 63
CLOSE_S = 5.0


def told(seq: int, size_bytes: int = 285) -> Message:
    header = Header(1, DEVICE, "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", seq)
    bare = len(encode(header, Event("model.active", "info", "")))
    return Message(
        "front-door-persons/result", encode(header, Event("model.active", "info", "x" * (size_bytes - bare)))
    )


class Late:
    """A link that finds a broker with a limit after it has missed many small messages, a larger one, and a small one."""

    def __init__(self, mosquitto: broker.Mosquitto, limit: str, large_bytes: int, **options: str) -> None:
        mosquitto.kill()
        mosquitto.start(limit)
        self._listener = broker.Listener(mosquitto.port)
        self._gate = broker.Gate(mosquitto.port)
        self._gate.cut()
        settings = Mqtt(host="127.0.0.1", port=self._gate.port, **options)  # type: ignore[arg-type]  # keywords of one struct
        self.link = MqttLink(settings, DEVICE, SystemClock(), SOON, fresh_s=AT_ONCE_S)
        for seq in range(SMALL):
            self.link.publish(told(seq))
        self.link.publish(told(SMALL, large_bytes))
        self.link.publish(told(SMALL + 1))
        self._gate.mend()

    def arrived(self, count: int) -> None:
        """Wait until so many have arrived."""
        broker.eventually(lambda: self._heard() >= count, f"{count} messages")

    def close(self) -> None:
        self.link.close(CLOSE_S)
        self._listener.close()
        self._gate.close()

    def _heard(self) -> int:
        return sum(len(decode_missed(payload)) for payload in self._listener.payloads(f"inferd/{DEVICE}/replay"))


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_that_takes_messages_up_to_64_kb_gets_all_even_sealed(
    mosquitto: broker.Mosquitto, tmp_path: Path, version: str
) -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    large_bytes = LIMIT_BYTES - 10
    late = Late(mosquitto, "message_size_limit 65536", large_bytes, version=version, seal_key_file=str(key))
    with closing(late):
        late.arrived(SMALL + 2)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_that_ends_the_connection_over_large_packets_gets_all_in_smaller_ones(
    mosquitto: broker.Mosquitto, version: str
) -> None:
    with closing(Late(mosquitto, "max_packet_size 4000", 3_000, version=version)) as late:
        late.arrived(SMALL + 2)
        assert late.link.dropped() == 0


def test_what_a_broker_says_it_will_not_take_is_counted_and_keeps_nothing_back(mosquitto: broker.Mosquitto) -> None:
    with closing(Late(mosquitto, "max_packet_size 4000", 9_000, version="5")) as late:
        late.arrived(SMALL + 1)
        assert late.link.dropped() == 1


class Received:
    """What a connection has received, for a queue to empty."""

    def __init__(self, *payloads: bytes) -> None:
        self.received = [Incoming("inferd/cam/request/status", payload) for payload in payloads]


def test_of_a_request_no_more_is_kept_than_the_longest_valid_one_has() -> None:
    queue = InboundQueue("inferd/cam/info")
    queue.receive(Received(b"x" * (MAX_PAYLOAD_BYTES + 5000), b"short"))  # type: ignore[arg-type]  # of a connection it only empties `received`
    assert [len(one.payload) for one in queue.pop_all()] == [MAX_PAYLOAD_BYTES, 5]
