"""The whole program on a board that starts in 1970, and is told the time later: only its wall clock is set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.agents.agent import Program, program
from fixtures.agents.drop_folder_agent import drain
from fixtures.machines.wall_clock import GCC, WallClock
from fixtures.network import broker
from fixtures.network.certificates import OPENSSL, Authority

CONFIG = """
[mqtt]
host = "localhost"
port = {port}
tls = true
ca_file = "{ca}"
[metrics]
interval_s = 1.0
[[pipeline]]
name = "cam"
model = "fake"
source = {{kind = "synthetic", width = 64, height = 48}}
pace = {{mode = "fast"}}
report = {{max_per_s = 0}}
engine = {{kind = "fake", fake = {{invoke_ms = 50}}}}
"""
HOUR_S = 3600

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(None in (broker.PROGRAM, OPENSSL, GCC), reason="apt-get install mosquitto openssl gcc"),
]


@dataclass
class Board:
    """A running agent, its wall clock, and somebody who hears what it says."""

    running: Program
    listener: broker.Listener
    clock: WallClock

    def events(self, kind: str = "") -> list[dict[str, Any]]:  # Any: JSON
        """Return all events that were heard, as they came or later in batches; of one kind where it is named."""
        told = [msgspec.json.decode(payload) for payload in self.listener.payloads("inferd/pi/event")]
        for batch in self.listener.payloads("inferd/pi/replay"):
            told += [one["message"] for one in msgspec.json.decode(batch)]
        return [one for one in told if "kind" in one and kind in ("", one["kind"])]

    def heard(self, topic: str) -> list[dict[str, Any]]:  # Any: JSON
        """Return what was heard on a topic."""
        return [msgspec.json.decode(payload) for payload in self.listener.payloads(f"inferd/pi/{topic}")]


@contextmanager
def board(folder: Path, ahead_s: float) -> Iterator[Board]:
    """Run an agent whose clock is so far ahead, and a broker with a certificate of today."""
    authority, clock = Authority(folder), WallClock(folder, ahead_s)
    pair = authority.sign("localhost", "DNS:localhost")
    running = broker.Mosquitto(folder)
    running.kill()
    running.serve_tls(authority.certificate, pair.certificate, pair.key)
    listener = broker.Listener(running.port)
    config = 'device = "pi"\n' + CONFIG.format(port=running.tls_port, ca=authority.certificate)
    with program(folder, config, None, **clock.environment) as agent:
        drain(agent)
        yield Board(agent, listener, clock)
    listener.close()
    running.kill()


def test_it_infers_in_1970_says_why_the_broker_waits_and_is_there_when_the_time_comes(tmp_path: Path) -> None:
    with board(tmp_path, 600 - time.time()) as it:
        broker.eventually(lambda: "cam is running" in it.running.log(), "inference")
        broker.eventually(
            lambda: "its certificate is not valid yet; is this device's clock set?" in it.running.log(), "why"
        )
        assert it.listener.payloads("inferd/pi/status") == []
        it.clock.set(0)
        broker.eventually(lambda: it.listener.payloads("inferd/pi/status") == [b"online"], "the broker")
        broker.eventually(lambda: bool(it.events("clock.set") and it.events("agent.started")), "what was said before")
        early = [event for event in it.events() if event["time"].startswith("1970")]
        assert {event.get("unsynchronised") for event in early} == {True}
        assert "agent.started" in {event["kind"] for event in early}
        assert it.events("clock.set")[0]["data"]["by_s"] == pytest.approx(time.time() - 600, abs=300)


def test_a_clock_that_is_set_by_hours_loses_no_frame_and_no_interval(tmp_path: Path) -> None:
    with board(tmp_path, 0) as it:
        broker.eventually(lambda: bool(it.heard("cam/result")), "a result")
        for count, ahead_s in enumerate((5 * HOUR_S, 0, -5 * HOUR_S, 0), start=1):
            it.clock.set(ahead_s)
            broker.eventually(lambda count=count: len(it.events("clock.set")) == count, "that the clock was set")  # type: ignore[misc]  # bound here
            told = len(it.heard("metrics"))
            broker.eventually(lambda told=told: len(it.heard("metrics")) > told + 1, "two reports")  # type: ignore[misc]  # as above
        frames = [result["frame"] for result in it.heard("cam/result")]
        assert frames == list(range(frames[0], frames[0] + len(frames)))
        assert all(0.5 < report["interval_s"] < 10 for report in it.heard("metrics"))
        assert {"worker.died", "worker.hung", "alert.raised"}.isdisjoint(event["kind"] for event in it.events())
