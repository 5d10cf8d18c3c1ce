"""What paho is allowed to hold: the window, and nothing that the network has not taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import NoReturn

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Message
from inferd.system.clock import Clock, CountingClock, SystemClock
from inferd.telemetry.mqtt.connection import SETTLE_S, WINDOW, Connection
from inferd.telemetry.outgoing.batches import TimedMessage
from inferd.wire import topics


def connect(port: int, clock: Clock | None = None) -> Connection:
    will = topics.STATUS.message(topics.OFFLINE)
    return Connection(Mqtt(host="127.0.0.1", port=port), "pi", "", will, clock or SystemClock())


def turn_on(connection: Connection) -> NoReturn:
    while True:
        connection.turn(1.0)


@pytest.fixture
def connection(mosquitto: broker.Mosquitto) -> Iterator[Connection]:
    with closing(connect(mosquitto.port)) as opened:
        while not opened.accepted:
            opened.turn(1.0)
        yield opened


def test_the_window_is_full_until_the_broker_acknowledges(mosquitto: broker.Mosquitto, connection: Connection) -> None:
    mosquitto.pause()
    for number in range(WINDOW):
        assert connection.has_window()
        connection.send(TimedMessage(Message("event", str(number).encode(), qos=1)))
    assert not connection.has_window()
    mosquitto.resume()
    while not connection.is_delivered():
        connection.turn(1.0)
    assert connection.has_window()


def test_what_was_not_acknowledged_is_asked_back_in_order(mosquitto: broker.Mosquitto, connection: Connection) -> None:
    messages = [TimedMessage(Message("event", str(number).encode(), qos=1)) for number in range(5)]
    mosquitto.pause()
    for message in messages:
        connection.send(message)
    mosquitto.kill()
    with pytest.raises(LinkError, match="connection was lost"):
        turn_on(connection)
    assert connection.undelivered() == messages


def test_there_is_no_room_while_the_network_takes_nothing(mosquitto: broker.Mosquitto, connection: Connection) -> None:
    mosquitto.pause()
    sent = 0
    while connection.has_room() and sent < 10_000:
        connection.send(TimedMessage(Message("cam/result", b"x" * 20_000)))
        sent += 1
    assert not connection.has_room()
    assert sent < 10_000


def test_after_a_loss_every_turn_tells_it(mosquitto: broker.Mosquitto, connection: Connection) -> None:
    mosquitto.kill()
    for _ in range(2):
        with pytest.raises(LinkError):
            turn_on(connection)
    assert not connection.has_room()


def test_a_server_that_hangs_up_at_once_is_named() -> None:
    gate = broker.Gate(1)
    gate.cut()
    with pytest.raises(LinkError, match=f"broker 127.0.0.1:{gate.port}"), closing(connect(gate.port)) as opened:
        turn_on(opened)
    gate.close()


def test_close_twice_is_fine(connection: Connection) -> None:
    connection.close()
    connection.close()


def test_a_broker_that_acknowledges_nothing_for_long_is_given_up(mosquitto: broker.Mosquitto) -> None:
    """The connection lives, for the kernel takes what is sent; only the acknowledgements stay away."""
    clock = CountingClock()
    with closing(connect(mosquitto.port, clock)) as opened:
        while not opened.accepted:
            opened.turn(1.0)
        mosquitto.pause()
        opened.send(TimedMessage(Message("event", b"x", qos=1)))
        opened.turn(0.0)
        clock.advance(60)
        with pytest.raises(LinkError, match="no PUBACK for 60 s"):
            opened.turn(0.0)
        mosquitto.resume()


def test_the_window_keeps_what_is_to_be_left_over(mosquitto: broker.Mosquitto, connection: Connection) -> None:
    mosquitto.pause()
    for number in range(WINDOW - 2):
        connection.send(TimedMessage(Message("event", str(number).encode(), qos=1)))
    assert connection.has_window(1)
    assert not connection.has_window(2)
    mosquitto.resume()


def test_a_qos_0_message_is_suspect_until_the_connection_has_outlived_it(mosquitto: broker.Mosquitto) -> None:
    clock = CountingClock()
    with closing(connect(mosquitto.port, clock)) as opened:
        while not opened.accepted:
            opened.turn(1.0)
        opened.send(TimedMessage(Message("cam/result", b"x")))
        clock.advance(SETTLE_S / 2)
        opened.turn(0.0)
        assert len(opened.loss.packets) == 1
        clock.advance(SETTLE_S)
        opened.turn(0.0)
        assert not opened.loss.packets
