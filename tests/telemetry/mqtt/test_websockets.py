"""WebSockets, ALPN and a client id of one's own, against a real mosquitto and a real TLS server."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from fixtures.network.broker import Listener, Mosquitto, eventually, free_port
from fixtures.network.certificates import Authority
from inferd.config.load import load
from inferd.config.mqtt import Mqtt
from inferd.errors import ConfigError
from inferd.records import Message
from inferd.system.clock import SystemClock
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.link import MqttLink
from inferd.telemetry.mqtt.tls import context

SOON = Backoff(first_s=0.05, longest_s=0.05)


@pytest.fixture
def web_port(mosquitto: Mosquitto) -> int:
    port = free_port()
    mosquitto.kill()
    try:
        mosquitto.start(f"listener {port} 127.0.0.1", "protocol websockets", "allow_anonymous true")
    except AssertionError:
        pytest.skip("this mosquitto was built without WebSockets")
    return port


def test_events_arrive_over_a_websocket_and_requests_come_back(mosquitto: Mosquitto, web_port: int) -> None:
    listener = Listener(mosquitto.port)
    settings = Mqtt(host="127.0.0.1", port=web_port, version="5", transport="websockets", requests=True)
    link = MqttLink(settings, "pi", SystemClock(), SOON)
    incoming: list[bytes] = []

    def asked() -> bool:
        incoming.extend(one.payload for one in link.incoming())
        return incoming == [b"{}"]

    try:
        link.publish(Message("event", b"e" * 18_000, 1))
        eventually(lambda: listener.payloads("inferd/pi/event") == [b"e" * 18_000], "an event")
        listener.say("inferd/pi/request/ping", b"{}")
        eventually(asked, "a request")
    finally:
        link.close(3.0)
        listener.close()


def test_a_client_id_of_ones_own_is_used(mosquitto: Mosquitto) -> None:
    settings = Mqtt(host="127.0.0.1", port=mosquitto.port, client_id="thing-7")
    link = MqttLink(settings, "pi", SystemClock(), SOON)
    eventually(lambda: link.connected, "to connect")
    link.close(3.0)
    assert "as thing-7" in mosquitto.log()


def test_alpn_asks_for_the_protocol(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    pair = authority.sign("broker", "DNS:localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.certificate, pair.key)
    server.set_alpn_protocols(["http/1.1", "x-amzn-mqtt-ca"])
    settings = Mqtt(host="localhost", tls=True, ca_file=str(authority.certificate), alpn="x-amzn-mqtt-ca")
    made = context(settings)
    assert made is not None
    near_in, near_out, far_in, far_out = (ssl.MemoryBIO() for _ in range(4))
    client = made.wrap_bio(near_in, near_out, server_hostname="localhost")
    broker = server.wrap_bio(far_in, far_out, server_side=True)
    for _ in range(4):
        for side, out, into in ((client, near_out, far_in), (broker, far_out, near_in)):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            into.write(out.read())
    assert broker.selected_alpn_protocol() == "x-amzn-mqtt-ca"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('transport = "websockets"', "needs mqtt.version"),
        ('alpn = "mqtt"', "mqtt.alpn is a part of TLS"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, table: str, sentence: str) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text(f"[mqtt]\n{table}\n")
    with pytest.raises(ConfigError, match=sentence):
        load(file, {})


def test_a_websocket_server_that_is_none_is_named(caplog: pytest.LogCaptureFixture, mosquitto: Mosquitto) -> None:
    settings = Mqtt(host="127.0.0.1", port=mosquitto.port, version="5", transport="websockets")
    link = MqttLink(settings, "pi", SystemClock(), SOON)
    eventually(lambda: bool(caplog.records), "a warning")
    link.close(3.0)
    assert "WebSocket" in caplog.records[0].message
