"""`inferd watch` opens what devices have sealed, over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fixtures.network import broker
from fixtures.network.certificates import OPENSSL, Authority
from inferd.cli.broker.watch import watch
from inferd.config.settings import Mqtt
from inferd.records import Message
from inferd.system.clock import SystemClock
from inferd.telemetry.mqtt.link import MqttLink
from inferd.wire.telemetry import Header, Model, PipelineStatus, encode

pytest.importorskip("cryptography", reason="pip install cryptography")

LOCAL = "DNS:localhost,IP:127.0.0.1"


@pytest.mark.slow
@pytest.mark.skipif(broker.PROGRAM is None or OPENSSL is None, reason="apt-get install mosquitto openssl")
def test_a_watcher_with_the_key_sees_what_a_sealed_device_says(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("broker", LOCAL)
    running = broker.Mosquitto(tmp_path)
    running.kill()
    running.serve_tls(authority.certificate, pair.certificate, pair.key)
    (tmp_path / "key").write_text("ab" * 32)
    ca, key = str(authority.certificate), str(tmp_path / "key")
    settings = Mqtt(host="localhost", port=running.tls_port, tls=True, ca_file=ca, seal_key_file=key)
    link = MqttLink(settings, "kitchen", SystemClock())
    header = Header(1, "kitchen", "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", 1)
    status = encode(header, PipelineStatus("running", "", header.time))
    link.publish(Message("cam/status", status, 1, retain=True))
    link.publish(Message("cam/model", encode(header, Model("faces-of-the-family", state="active")), 1, retain=True))
    broker.eventually(lambda: link.connected, "the link to connect")
    url = f"mqtts://localhost:{running.tls_port}/inferd"
    plainly = ["--broker", url, "--ca-file", ca, "--plain", "--seconds", "2"]
    with_key = CliRunner().invoke(watch, [*plainly, "--seal-key-file", key])
    without = CliRunner().invoke(watch, plainly)
    link.close(5.0)
    running.kill()
    assert "faces-of-the-family" in with_key.output
    assert "faces-of-the-family" not in without.output
