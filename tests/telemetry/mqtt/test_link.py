"""The MQTT link against a real broker, and against what is none."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.records import Message
from inferd.system.clock import SystemClock
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.link import MqttLink
from inferd.wire.telemetry import Header, encode, idle_model

SOON = Backoff(first_s=0.05, longest_s=0.05)
CLOSE_S = 5.0
DEVICE = """
import sys
from inferd.config.settings import Mqtt
from inferd.records import Message
from inferd.system.clock import SystemClock
from inferd.telemetry.mqtt.link import MqttLink
link = MqttLink(Mqtt(host="127.0.0.1", port=int(sys.argv[1])), "pi", SystemClock())
link.publish(Message("info", b"here", 1, True))
sys.stdin.read()
"""


@contextmanager
def linked(port: int, backoff: Backoff = SOON, **options: str | int) -> Iterator[MqttLink]:
    link = MqttLink(Mqtt(host="127.0.0.1", port=port, **options), "pi", SystemClock(), backoff)  # type: ignore[arg-type]  # keywords of one struct
    try:
        yield link
    finally:
        link.close(CLOSE_S)


def listening(mosquitto: broker.Mosquitto) -> broker.Listener:
    return broker.Listener(mosquitto.port)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_device_that_is_killed_goes_offline(mosquitto: broker.Mosquitto) -> None:
    listener = listening(mosquitto)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    device = subprocess.Popen(
        [sys.executable, "-c", DEVICE, str(mosquitto.port)], stdin=subprocess.PIPE, env=environment
    )
    broker.eventually(lambda: listener.payloads("inferd/pi/status") == [b"online"], "the device to be online")
    device.send_signal(signal.SIGKILL)
    device.communicate()
    broker.eventually(lambda: listener.payloads("inferd/pi/status") == [b"online", b"offline"], "the will")
    assert broker.retained(mosquitto.port, "inferd/pi/status") == b"offline"
    listener.close()


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Mosquitto]:
    running = broker.Mosquitto(tmp_path_factory.mktemp("other"))
    yield running
    running.kill()


def test_a_link_goes_to_another_broker_and_says_goodbye_to_the_first(
    mosquitto: broker.Mosquitto, other: broker.Mosquitto
) -> None:
    first, second = listening(mosquitto), listening(other)
    with linked(mosquitto.port) as link:
        link.publish(Message("info", b"here", 1, retain=True))
        broker.eventually(lambda: first.payloads("inferd/pi/status") == [b"online"], "the first")
        link.reconfigure(Mqtt(host="127.0.0.1", port=other.port))
        broker.eventually(lambda: second.payloads("inferd/pi/status") == [b"online"], "the second")
        link.publish(Message("event", b"1", 1))
        broker.eventually(lambda: second.payloads("inferd/pi/event") == [b"1"], "an event")
        assert first.payloads("inferd/pi/status") == [b"online", b"offline"]
        assert second.payloads("inferd/pi/info") == [b"here"]
    first.close()
    second.close()


def test_a_link_that_waits_for_a_broker_goes_to_another_at_once(mosquitto: broker.Mosquitto) -> None:
    with linked(broker.dead_port(), Backoff(first_s=3600.0, longest_s=3600.0)) as link:
        broker.eventually(lambda: link.attempts == 1, "an attempt")
        link.reconfigure(Mqtt(host="127.0.0.1", port=mosquitto.port))
        broker.eventually(lambda: link.connected, "the link to connect")


def test_what_a_connection_does_not_take_makes_none(mosquitto: broker.Mosquitto) -> None:
    with linked(mosquitto.port) as link:
        broker.eventually(lambda: link.connected, "the link to connect")
        link.reconfigure(Mqtt(host="127.0.0.1", port=mosquitto.port, prefix="elsewhere", spool_mb=1))
        broker.eventually(lambda: broker.retained(mosquitto.port, "inferd/pi/status") == b"online", "its status")
        assert (link.connected, link.attempts) == (True, 1)


@pytest.mark.parametrize("first_is_there", [True, False])
def test_an_old_word_of_ours_at_another_broker_is_no_twin(
    mosquitto: broker.Mosquitto, other: broker.Mosquitto, *, first_is_there: bool
) -> None:
    with linked(other.port) as before:
        before.publish(info("aaaaaaaaaaaa"))
        broker.eventually(lambda: broker.retained(other.port, "inferd/pi/info") is not None, "its info")
    with linked(mosquitto.port) as link:
        link.publish(info("bbbbbbbbbbbb"))
        broker.eventually(lambda: broker.retained(mosquitto.port, "inferd/pi/info") is not None, "its info")
        if not first_is_there:
            mosquitto.kill()
            broker.eventually(lambda: not link.connected, "the link to notice")
        link.reconfigure(Mqtt(host="127.0.0.1", port=other.port))
        broker.eventually(lambda: b"bbbb" in (broker.retained(other.port, "inferd/pi/info") or b""), "its info there")
        assert (link.events(), link.connected) == ([], True)


def info(boot_id: str) -> Message:
    return Message("info", encode(Header(1, "pi", "", boot_id, 1), idle_model("none", "")), 1, retain=True)


def test_after_a_restart_of_the_broker_what_is_retained_is_there_again(mosquitto: broker.Mosquitto) -> None:
    with linked(mosquitto.port) as link:
        link.publish(Message("info", b"old", qos=1, retain=True))
        broker.eventually(lambda: link.connected, "the link to connect")
        mosquitto.kill()
        broker.eventually(lambda: not link.connected, "the link to notice")
        link.publish(Message("info", b"new", qos=1, retain=True))
        mosquitto.start()
        broker.eventually(lambda: link.connected, "the link to come back")
        broker.eventually(lambda: broker.retained(mosquitto.port, "inferd/pi/info") == b"new", "the newest info")
        assert broker.retained(mosquitto.port, "inferd/pi/status") == b"online"


def test_a_broker_that_starts_later_is_found(mosquitto: broker.Mosquitto) -> None:
    listener = listening(mosquitto)
    gate = broker.Gate(mosquitto.port)
    gate.cut()
    with linked(gate.port) as link:
        link.publish(Message("event", b"early", qos=1))
        gate.mend()
        broker.eventually(lambda: listener.payloads("inferd/pi/event") == [b"early"], "what was published before")
    gate.close()
    listener.close()


def test_no_broker_is_told_once_however_often_it_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    with linked(broker.dead_port(), Backoff(0.001, 0.001)) as link:
        broker.eventually(lambda: link.attempts > 5, "several attempts")
    assert len(warnings(caplog)) == 1
    assert "nothing listens there" in warnings(caplog)[0]


def test_an_unknown_host_is_named(caplog: pytest.LogCaptureFixture) -> None:
    link = MqttLink(Mqtt(host="no-such-host.invalid"), "pi", SystemClock(), SOON)
    broker.eventually(lambda: bool(warnings(caplog)), "a warning")
    link.close(CLOSE_S)
    assert "broker no-such-host.invalid:1883: its name is not known" in warnings(caplog)[0]


def test_a_wrong_password_is_named_once_and_mending_the_file_is_enough(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if broker.PROGRAM is None:
        pytest.skip("there is no mosquitto; apt-get install mosquitto")
    mosquitto = broker.Mosquitto(tmp_path, user="pi", password="right")  # noqa: S106 - made up for this broker
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    with linked(mosquitto.port, username="pi", password_file=str(secret)) as link:
        broker.eventually(lambda: link.attempts > 3, "several attempts")
        secret.write_text("right\n")
        broker.eventually(lambda: link.connected, "the link to connect")
    mosquitto.kill()
    assert len(warnings(caplog)) == 1
    assert "refuses 'pi' (Not authorized); correct mqtt.username and mqtt.password_file" in warnings(caplog)[0]
    assert not any("wrong" in record.message or "right" in record.message for record in caplog.records)


def test_a_password_file_that_is_missing_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with linked(broker.dead_port(), username="pi", password_file=str(tmp_path / "absent")):
        broker.eventually(lambda: bool(warnings(caplog)), "a warning")
    assert "mqtt.password_file" in warnings(caplog)[0]
    assert "absent cannot be read" in warnings(caplog)[0]


def test_a_password_file_that_everybody_may_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = tmp_path / "secret"
    secret.write_text("right\n")
    secret.chmod(0o644)
    with linked(broker.dead_port(), username="pi", password_file=str(secret)):
        broker.eventually(lambda: bool(warnings(caplog)), "a warning")
    assert "other users may read" in warnings(caplog)[0]


def test_a_broker_that_never_answers_is_left_when_asked_to() -> None:
    with broker.deaf_broker() as port:
        link = MqttLink(Mqtt(host="127.0.0.1", port=port), "pi", SystemClock(), SOON)
        link.publish(Message("event", b"unheard", qos=1))
        link.close(0.2)
        assert not link.connected


def test_a_broker_that_never_answers_is_named_in_time(caplog: pytest.LogCaptureFixture) -> None:
    with broker.deaf_broker() as port:
        link = MqttLink(Mqtt(host="127.0.0.1", port=port), "pi", SystemClock(), SOON, accept_s=0.1)
        broker.eventually(lambda: bool(warnings(caplog)), "a warning")
        link.close(CLOSE_S)
    assert "accepts connections but does not answer" in warnings(caplog)[0]


def test_a_second_connection_of_a_device_ends_the_first_before_it_is_online(mosquitto: broker.Mosquitto) -> None:
    """So a half-open connection of before, which the broker still believes in, cannot say "offline" later."""
    listener = listening(mosquitto)
    with linked(mosquitto.port, Backoff(60, 60)) as first:
        broker.eventually(lambda: first.connected, "the first to connect")
        with linked(mosquitto.port) as second:
            broker.eventually(
                lambda: listener.payloads("inferd/pi/status")[-1:] == [b"online"] and not first.connected, "one"
            )
            assert second.connected
            assert listener.payloads("inferd/pi/status") == [b"online", b"offline", b"online"]
    listener.close()


def test_a_network_that_takes_nothing_costs_the_oldest_results_and_no_memory(mosquitto: broker.Mosquitto) -> None:
    with linked(mosquitto.port, max_buffered=100) as link:
        broker.eventually(lambda: link.connected, "the link to connect")
        mosquitto.pause()
        for _ in range(3_000):
            link.publish(Message("cam/result", b"x" * 20_000))
        broker.eventually(lambda: link.dropped() > 0, "results to be dropped")
        mosquitto.resume()
        link.publish(Message("event", b"after", qos=1))
        listener = listening(mosquitto)
        broker.eventually(lambda: link.connected, "the link to go on")
        link.publish(Message("event", b"at last", qos=1))
        broker.eventually(lambda: b"at last" in listener.payloads("inferd/pi/event"), "an event after all that")
        listener.close()


def test_a_clean_goodbye_leaves_offline_retained(mosquitto: broker.Mosquitto) -> None:
    with linked(mosquitto.port) as link:
        broker.eventually(lambda: link.connected, "the link to connect")
    assert broker.retained(mosquitto.port, "inferd/pi/status") == b"offline"
