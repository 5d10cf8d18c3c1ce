"""Brokers that end the connection over a packet, without a reason: the third time, the link sends it otherwise or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fixtures.network.broker import eventually
from fixtures.network.scripted_broker import CONNECT, PUBLISH, SUBSCRIBE, Packet, ScriptedBroker, publish
from inferd.config.mqtt import Mqtt
from inferd.records import Incoming, LinkEvent, Message
from inferd.system.clock import CountingClock, SystemClock
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.broker_limits import FORGET_S, REPEATS, BrokerLimits, ConnectionLoss, SentPacket
from inferd.telemetry.mqtt.link import MqttLink
from inferd.wire.telemetry import Header, encode, idle_model

SOON = Backoff(first_s=0.02, longest_s=0.05)
VERSIONS = ["3.1.1", "5"]
BELOW = "inferd/pi"


class Talk:
    """A link, a broker, and the events of the link so far."""

    def __init__(self, link: MqttLink, broker: ScriptedBroker) -> None:
        self.link = link
        self.broker = broker
        self._events: list[LinkEvent] = []

    def events(self, kind: str) -> list[str]:
        self._events += self.link.events()
        return [one.why for one in self._events if one.kind == kind]

    def arrived(self, topic: str, payload: bytes | None = None) -> bool:
        found = self.broker.published(f"{BELOW}/{topic}")
        return any(payload in (None, one.payload) for one in found)


@contextmanager
def talking(refuses: Callable[[Packet], bool], version: str = "3.1.1", echo_s: float = 60.0) -> Iterator[Talk]:
    with ScriptedBroker(refuses) as broker:
        settings = Mqtt(host="127.0.0.1", port=broker.port, version=version)  # type: ignore[arg-type]  # one of the two
        link = MqttLink(settings, "pi", SystemClock(), SOON, echo_s=echo_s)
        link.publish(info("aaaaaaaaaaaa"))
        try:
            yield Talk(link, broker)
        finally:
            link.close(2.0)


def info(boot_id: str) -> Message:
    return Message("info", encode(Header(1, "pi", "", boot_id, 1), idle_model("none", "")), 1, retain=True)


def goes_on(talk: Talk) -> None:
    """Wait until a new event arrives: the link has found a way to live with this broker."""
    talk.link.publish(Message("event", b"goes on", 1))
    eventually(lambda: talk.arrived("event", b"goes on"), "an event")
    eventually(lambda: talk.arrived("status", b"online"), "online")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_topic_that_is_denied_by_closing_is_left_out_and_the_rest_flows(version: str) -> None:
    with talking(lambda one: one.topic == f"{BELOW}/metrics", version) as talk:
        talk.link.publish(Message("metrics", b"{}", 1))
        goes_on(talk)
        eventually(lambda: bool(talk.events("link.limited")), "the event")
        assert f"3 times after PUBLISH to {BELOW}/metrics" in talk.events("link.limited")[0]
        eventually(lambda: talk.link.dropped() == 1, "it to be counted")
        assert talk.events("link.denied") == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_that_closes_on_retained_messages_gets_them_unretained(version: str) -> None:
    with talking(lambda one: one.kind == PUBLISH and one.retain, version) as talk:
        goes_on(talk)
        assert talk.arrived("info")
        assert "sending without the retain flag" in talk.events("link.limited")[0]
        assert talk.link.dropped() == 0


def test_a_broker_that_closes_on_qos_1_gets_qos_0() -> None:
    with talking(lambda one: one.kind == PUBLISH and one.qos > 0) as talk:
        goes_on(talk)
        assert talk.arrived("info")
        assert "sending with QoS 0" in talk.events("link.limited")[-1]


def test_a_broker_that_takes_1200_octets_gets_the_smaller_ones() -> None:
    with talking(lambda one: one.size > 1_200) as talk:
        talk.link.publish(Message("cam/state", b"s" * 2_000, 1, retain=True))
        talk.link.publish(Message("metrics", b"m" * 5_000, 1))
        goes_on(talk)
        eventually(lambda: len(talk.events("link.limited")) > 1, "both")
        connections = talk.broker.connections
        talk.link.publish(Message("cam/model", b"n" * 3_000, 1, retain=True))
        talk.link.publish(Message("event", b"small", 1))
        eventually(lambda: talk.arrived("event", b"small"), "the small one")
        assert talk.broker.connections == connections, "a size that is known to be too large must not be tried again"
        assert any("leaving out packets above" in why for why in talk.events("link.limited"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_that_closes_on_a_subscription_is_published_to_without_it(version: str) -> None:
    with talking(lambda one: one.kind == SUBSCRIBE and one.topic.endswith("request/#"), version) as talk:
        goes_on(talk)
        assert "after SUBSCRIBE to inferd/pi/request/#; not subscribing to it" in talk.events("link.limited")[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_that_closes_on_a_retained_will_gets_one_that_is_not(version: str) -> None:
    with talking(lambda one: one.kind == CONNECT and one.will is not None and one.will[1], version) as talk:
        goes_on(talk)
        assert "connecting with a will that is not retained" in talk.events("link.limited")[0]


def test_a_broker_that_closes_on_any_will_gets_none() -> None:
    with talking(lambda one: one.kind == CONNECT and one.will is not None) as talk:
        goes_on(talk)
        assert "connecting with no will" in talk.events("link.limited")[0]


def test_a_proxy_whose_broker_is_away_for_a_while_costs_the_will_nothing() -> None:
    away = [True]
    with talking(lambda one: one.kind == CONNECT and away[0]) as talk:
        eventually(lambda: talk.broker.connections > REPEATS + 1, "attempts")
        away[0] = False
        goes_on(talk)
        assert talk.events("link.limited") == []
        wills = [one.will for one in talk.broker.packets if one.kind == CONNECT]
        assert wills[-1] == (1, True)


def test_repeats_are_logged_at_1_2_4_8_with_their_phase(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with talking(lambda one: one.kind == CONNECT) as talk:
        eventually(lambda: talk.broker.connections > 10, "attempts")
    lines = [one.message for one in caplog.records if "before it answered CONNECT" in one.message]
    assert [line.rpartition(" (")[2] for line in lines[1:4]] == ["2 times)", "4 times)", "8 times)"]


def test_one_loss_in_a_healthy_life_changes_nothing() -> None:
    with talking(lambda _: False) as talk:
        goes_on(talk)
        for number in range(6):
            talk.link.publish(Message("event", b"%d" % number, 1))
            talk.broker.drop()
            eventually(lambda payload=b"%d" % number: talk.arrived("event", payload), "it")  # type: ignore[misc]
        assert talk.events("link.limited") == []


def test_what_was_left_out_is_tried_again_after_an_hour_and_one_more_loss_is_enough() -> None:
    clock = CountingClock()
    limits = BrokerLimits(clock)
    limits.passed(SentPacket("status", 50, 1, retain=True))
    denied = SentPacket("metrics", 500, 1, retain=False)
    assert [bool(limits.lost(loss(denied))) for _ in range(REPEATS)] == [False, False, True]
    assert limits.leaves_out(denied)
    assert not limits.leaves_out(SentPacket("metrics", 499, 1, retain=False))
    clock.advance(FORGET_S + 1)
    assert not limits.leaves_out(denied)
    assert limits.is_suspect("metrics")
    assert limits.lost(loss(denied))


def test_of_several_packets_under_way_none_is_blamed_and_each_is_sent_alone_next() -> None:
    limits = BrokerLimits(CountingClock())
    packets = [SentPacket(topic, 100, 1, retain=False) for topic in ("a", "b")]
    for _ in range(10):
        assert limits.lost(loss(*packets)) == ""
    assert all(limits.is_suspect(one.topic) for one in packets)
    limits.passed(packets[0])
    assert not limits.is_suspect("a")


def loss(*packets: SentPacket) -> ConnectionLoss:
    return ConnectionLoss("publish", packets=packets)


def test_an_acl_that_denies_in_silence_is_noticed_by_our_own_info() -> None:
    with talking(lambda _: False, echo_s=0.2) as talk:  # this broker delivers nothing to anyone
        eventually(lambda: bool(talk.events("link.denied")), "the event")
        assert f"our own {BELOW}/info does not come back" in talk.events("link.denied")[0]


@pytest.mark.parametrize(
    ("greeting", "sentence"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x46", "it answers with TLS; set mqtt.tls = true"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 'it answers with HTTP; set mqtt.transport = "websockets"'),
        (b"\x20\x02\x00\x01", 'it does not speak MQTT 3.1.1; set mqtt.version = "5"'),
        (b"\x20\x03\x00\x84\x00", 'it does not speak MQTT 3.1.1; set mqtt.version = "5"'),
    ],
)
def test_what_is_no_broker_for_us_is_named(greeting: bytes, sentence: str, caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedBroker(greets=lambda _: greeting) as broker:
        link = MqttLink(Mqtt(host="127.0.0.1", port=broker.port), "pi", SystemClock(), SOON, accept_s=1.0)
        eventually(lambda: any(sentence in one.message for one in caplog.records), sentence)
        link.close(2.0)


def test_a_broker_that_is_unavailable_for_now_is_tried_again_soon() -> None:
    """CONNACK 3 is no refusal: it took the slow pause of a minute."""
    patient = Backoff(first_s=0.02, longest_s=60.0)
    with ScriptedBroker(greets=lambda _: b"\x20\x02\x00\x03") as broker:
        link = MqttLink(Mqtt(host="127.0.0.1", port=broker.port), "pi", SystemClock(), patient)
        eventually(lambda: link.attempts > 3, "attempts")
        link.close(2.0)


def test_a_forged_info_never_costs_the_connection() -> None:
    forged = encode(Header(1, "pi", "", "ffffffffffff", 1), idle_model("none", ""))
    with talking(lambda _: False) as talk:
        goes_on(talk)
        for number in range(5):
            talk.broker.send(lambda level: publish(f"{BELOW}/info".encode(), forged, level=level))
            talk.link.publish(Message("event", b"%d" % number, 1))
            eventually(lambda payload=b"%d" % number: talk.arrived("event", payload), "an event")  # type: ignore[misc]
        assert talk.broker.connections == 1
        assert talk.events("link.twin") == []


def test_incoming_reaches_the_owner_cut_to_what_a_request_may_have() -> None:
    received: list[Incoming] = []
    with talking(lambda _: False) as talk:
        goes_on(talk)
        talk.broker.send(lambda level: publish(f"{BELOW}/request/ping".encode(), b"x" * 60_000, qos=1, level=level))

        def came() -> bool:
            received.extend(talk.link.incoming())
            return bool(received)

        eventually(came, "the request")
    assert 16_000 < len(received[0].payload) < 23_000
