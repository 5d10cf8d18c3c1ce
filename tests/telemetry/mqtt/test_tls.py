"""TLS, client certificates and an ACL, against a real mosquitto with certificates made by openssl."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.agents.agent import Program, program
from fixtures.network import broker
from fixtures.network.certificates import OPENSSL, Authority, Pair
from fixtures.paths import PROJECT
from inferd.config.settings import Mqtt
from inferd.records import Message
from inferd.system.clock import SystemClock
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.link import MqttLink

SOON = Backoff(first_s=0.05, longest_s=0.05)
CLOSE_S = 5.0
EXAMPLE = PROJECT / "deploy" / "mosquitto"
LOCAL = "DNS:localhost,IP:127.0.0.1"

pytestmark = [
    pytest.mark.slow,  # all together: openssl makes a key for each broker
    pytest.mark.skipif(broker.PROGRAM is None or OPENSSL is None, reason="apt-get install mosquitto openssl"),
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@contextmanager
def tls_broker(folder: Path, authority: Authority, pair: Pair, *more: str) -> Iterator[broker.Mosquitto]:
    """Run a mosquitto with a TLS listener beside the plain one for listeners."""
    running = broker.Mosquitto(folder)
    running.kill()
    running.serve_tls(authority.certificate, pair.certificate, pair.key, *more)
    yield running
    running.kill()


@contextmanager
def linked(port: int, device: str = "pi", **options: Any) -> Iterator[MqttLink]:  # Any: keywords of one struct
    settings = Mqtt(**{"host": "localhost", "port": port, "tls": True, **options})
    link = MqttLink(settings, device, SystemClock(), SOON)
    try:
        yield link
    finally:
        link.close(CLOSE_S)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_messages_arrive_over_tls(tmp_path: Path, authority: Authority, version: str) -> None:
    with tls_broker(tmp_path, authority, authority.sign("broker", LOCAL)) as running:
        listener = broker.Listener(running.port)
        with linked(running.tls_port, ca_file=str(authority.certificate), version=version) as link:
            for number in range(250):
                link.publish(Message("event", str(number).encode(), 1))
            broker.eventually(lambda: len(listener.payloads("inferd/pi/event")) == 250, "all events")
        assert listener.payloads("inferd/pi/event") == [str(number).encode() for number in range(250)]
        listener.close()


def refused(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, authority: Authority, pair: Pair, **options: Any
) -> str:  # Any: keywords
    """Return the one warning that a broker with this certificate causes, however often it is tried."""
    with tls_broker(tmp_path, authority, pair) as running, linked(running.tls_port, **options) as link:
        broker.eventually(lambda: link.attempts > 3, "several attempts")
        assert not link.connected
    (told,) = warnings(caplog)
    return told


def test_an_expired_certificate_is_named_once(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.sign("late", LOCAL, days=-1)
    told = refused(caplog, tmp_path, authority, pair, ca_file=str(authority.certificate))
    assert "its certificate has expired; renew it on the broker, or set this device's clock" in told


def test_a_certificate_for_another_name_is_named_once(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.sign("elsewhere", "DNS:elsewhere.example")
    told = refused(caplog, tmp_path, authority, pair, ca_file=str(authority.certificate))
    assert "its certificate is not for 'localhost'; correct mqtt.host" in told


def test_a_certificate_of_another_authority_is_named_once(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    other = Authority(tmp_path, "other")
    told = refused(caplog, tmp_path, authority, authority.sign("broker", LOCAL), ca_file=str(other.certificate))
    assert "no certificate in mqtt.ca_file vouches for its own" in told


def test_a_missing_authority_file_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with linked(broker.dead_port(), ca_file=str(tmp_path / "absent.pem")):
        broker.eventually(lambda: bool(warnings(caplog)), "a warning")
    assert "mqtt.ca_file" in warnings(caplog)[0]


def test_a_key_that_is_not_the_certificates_is_named(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    one, other = authority.sign("one"), authority.sign("other")
    options = {"cert_file": str(one.certificate), "key_file": str(other.key), "ca_file": str(authority.certificate)}
    with linked(broker.dead_port(), **options):
        broker.eventually(lambda: bool(warnings(caplog)), "a warning")
    assert "are no pair of certificate and key" in warnings(caplog)[0]
    assert "BEGIN" not in caplog.text


def test_a_plain_port_is_named(mosquitto: broker.Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    with linked(mosquitto.port) as link:
        broker.eventually(lambda: link.attempts > 1, "attempts")
    assert "TLS" in warnings(caplog)[0]


def guarded(folder: Path) -> tuple[str, ...]:
    """Return the lines of our example that ask for certificates, with its ACL."""
    (folder / "acl").write_text((EXAMPLE / "inferd.acl").read_text())
    wanted = ("require_certificate", "use_identity_as_username", "allow_anonymous")
    lines = [line for line in (EXAMPLE / "inferd.conf").read_text().splitlines() if line.startswith(wanted)]
    assert len(lines) == len(wanted)
    return (*lines, f"acl_file {folder / 'acl'}")


def device(authority: Authority, name: str) -> dict[str, str]:
    pair = authority.sign(name)
    return {"cert_file": str(pair.certificate), "key_file": str(pair.key), "ca_file": str(authority.certificate)}


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_with_our_example_a_device_speaks_for_itself_only(tmp_path: Path, authority: Authority, version: str) -> None:
    with tls_broker(tmp_path, authority, authority.sign("broker", LOCAL), *guarded(tmp_path)) as running:
        watcher = authority.sign("watcher")
        listener = broker.Listener(running.tls_port, tls=(authority.certificate, watcher.certificate, watcher.key))
        with (
            linked(running.tls_port, "kitchen", version=version, **device(authority, "kitchen")) as own,
            linked(running.tls_port, "hall", version=version, **device(authority, "thief")) as thief,
        ):
            thief.publish(Message("event", b"forged", 1))
            own.publish(Message("event", b"true", 1))
            broker.eventually(lambda: "inferd/kitchen/event" in listener.topics(), "the device's event")
            broker.eventually(lambda: thief.connected, "the thief to connect")
        assert not any(topic.startswith("inferd/hall/") for topic in listener.topics())
        listener.close()


def test_a_device_without_a_certificate_is_told_what_is_missing(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.sign("broker", LOCAL)
    with (
        tls_broker(tmp_path, authority, pair, *guarded(tmp_path)) as running,
        linked(running.tls_port, ca_file=str(authority.certificate)) as bare,
    ):
        broker.eventually(lambda: bare.attempts > 2, "attempts")
        assert not bare.connected
    assert "mqtt.cert_file" in warnings(caplog)[0]


CONFIG = """
device = "kitchen"
[mqtt]
host = "{host}"
port = {port}
tls = true
ca_file = "{ca}"
cert_file = "{pair.certificate}"
key_file = "{pair.key}"
[[pipeline]]
name = "cam"
model = "fake"
source = {{kind = "synthetic", width = 64, height = 48}}
pace = {{mode = "fixed"}}
report = {{max_per_s = 0}}
engine = {{kind = "fake"}}
"""


@pytest.fixture
def guard(tmp_path: Path, authority: Authority) -> Iterator[broker.Mosquitto]:
    """Our example of a broker: TLS, client certificates and the ACL; with an expired certificate of its own."""
    with tls_broker(tmp_path, authority, authority.sign("old", LOCAL, days=-1), *guarded(tmp_path)) as running:
        yield running


def show(guard: broker.Mosquitto, authority: Authority, pair: Pair, folder: Path) -> None:
    """Have the broker show another certificate, at the port that it has."""
    guard.kill()
    guard.serve_tls(authority.certificate, pair.certificate, pair.key, *guarded(folder), port=guard.tls_port)


def config(guard: broker.Mosquitto, ca: Path, pair: Pair, host: str = "localhost") -> str:
    return CONFIG.format(host=host, port=guard.tls_port, ca=ca, pair=pair)


def goes_on(agent: Program) -> None:
    """See that inference does."""
    before = agent.result()["frame"]
    while agent.result()["frame"] < before + 20:
        pass


def complaints(agent: Program) -> list[str]:
    return [line for line in agent.log().splitlines() if "mqtt: broker" in line]


def test_an_expired_certificate_costs_one_line_and_no_inference(
    tmp_path: Path, authority: Authority, guard: broker.Mosquitto
) -> None:
    kitchen = authority.sign("kitchen")
    with program(tmp_path, config(guard, authority.certificate, kitchen)) as agent:
        goes_on(agent)
        broker.eventually(lambda: bool(complaints(agent)), "the error")
        goes_on(agent)
        assert ["has expired; renew it on the broker" in line for line in complaints(agent)] == [True]
        show(guard, authority, authority.sign("broker", LOCAL), tmp_path)
        broker.eventually(lambda: "mqtt connected" in agent.log(), "a connection when it was renewed")
        goes_on(agent)


def test_a_certificate_for_another_name_costs_one_line_and_no_inference(
    tmp_path: Path, authority: Authority, guard: broker.Mosquitto
) -> None:
    kitchen = authority.sign("kitchen")
    show(guard, authority, authority.sign("broker", "IP:127.0.0.1"), tmp_path)
    with program(tmp_path, config(guard, authority.certificate, kitchen)) as agent:
        goes_on(agent)
        broker.eventually(lambda: bool(complaints(agent)), "the error")
        goes_on(agent)
        assert ["is not for 'localhost'; correct mqtt.host" in line for line in complaints(agent)] == [True]
        reload(agent, tmp_path, config(guard, authority.certificate, kitchen, "127.0.0.1"))
        broker.eventually(lambda: "mqtt connected" in agent.log(), "a connection when mqtt.host was mended")
        goes_on(agent)


def test_a_certificate_of_another_authority_costs_one_line_and_no_inference(
    tmp_path: Path, authority: Authority, guard: broker.Mosquitto
) -> None:
    kitchen, stranger = authority.sign("kitchen"), Authority(tmp_path, "stranger")
    show(guard, authority, authority.sign("broker", LOCAL), tmp_path)
    with program(tmp_path, config(guard, stranger.certificate, kitchen)) as agent:
        goes_on(agent)
        broker.eventually(lambda: bool(complaints(agent)), "the error")
        goes_on(agent)
        assert ["no certificate in mqtt.ca_file vouches for its" in line for line in complaints(agent)] == [True]
        reload(agent, tmp_path, config(guard, authority.certificate, kitchen))
        broker.eventually(lambda: "mqtt connected" in agent.log(), "a connection when mqtt.ca_file was mended")
        goes_on(agent)


def test_an_agent_with_its_certificate_is_heard_and_asked_within_its_acl(
    tmp_path: Path, authority: Authority, guard: broker.Mosquitto
) -> None:
    show(guard, authority, authority.sign("broker", LOCAL), tmp_path)
    watcher = authority.sign("watcher")
    listener = broker.Listener(guard.tls_port, tls=(authority.certificate, watcher.certificate, watcher.key))
    with program(tmp_path, config(guard, authority.certificate, authority.sign("kitchen"))) as agent:
        broker.eventually(lambda: "inferd/kitchen/cam/result" in listener.topics(), "its results")
        listener.say("inferd/kitchen/request/ping", b'{"id": "1"}')
        broker.eventually(lambda: "inferd/kitchen/response/ping" in listener.topics(), "its answer")
        assert complaints(agent) == []
    listener.close()


def reload(agent: Program, folder: Path, text: str) -> None:
    """Have the agent read another configuration."""
    (folder / "inferd.toml").write_text(f'state_dir = "{folder / "state"}"\n{text}')
    agent.process.send_signal(signal.SIGHUP)
