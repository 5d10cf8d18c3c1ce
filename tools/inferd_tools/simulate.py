"""Devices that are none, for trying dashboards and `inferd watch`: they say what real ones say, with the real encoders.

python -m inferd_tools.simulate --devices 200 --port 1883
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inferd import __version__
from inferd.config import settings
from inferd.histogram import Histogram, HistogramData
from inferd.records import STAGES, Message, PipelineState
from inferd.telemetry.metrics import Reading, Value, assemble
from inferd.telemetry.mqtt.subscriber import MAX_LEAVING, Subscriber
from inferd.wire import telemetry, topics

BOARDS = (
    "Raspberry Pi 4 Model B Rev 1.4",
    "Raspberry Pi 5 Model B Rev 1.0",
    "Raspberry Pi Zero 2 W Rev 1.0",
    "Coral Dev Board",
)
PLACES = ("kitchen", "yard", "gate", "hall", "cellar", "roof", "dock", "line")
MODELS = (("mobilenet_v2", "classify", 7.0), ("ssd_mobilenet", "detect", 24.0), ("vibration", "anomaly", 0.6))
LABELS = {"classify": ("cup", "phone", "hand"), "detect": ("person", "dog", "car"), "anomaly": ("normal", "anomaly")}
FRAMES = 60  # that a histogram holds; more would only take longer to make


@dataclass
class SimulatedDevice:
    """A device with one pipeline, which lives its life by chance, the same for the same number."""

    number: int

    def __post_init__(self) -> None:
        self.chance = random.Random(self.number)  # noqa: S311 - repeatable, keeps no secret
        self.name = f"{self.chance.choice(PLACES)}-{self.number:03d}"
        self.model, self.task, self.typical_ms = self.chance.choice(MODELS)
        self.board = self.chance.choice(BOARDS)
        self.state: PipelineState = self.chance.choices(("running", "degraded", "waiting", "failed"), (90, 4, 4, 2))[0]
        self.online = self.chance.random() > 0.03  # noqa: PLR2004 - three in a hundred are off
        self.seq = 0
        self.frames = 0
        self.hot = False

    def begin(self) -> Iterator[Message]:
        """Yield what is retained."""
        info = telemetry.Info(
            __version__,
            "3.11.2",
            "aarch64",
            "Debian GNU/Linux 12 (bookworm)",
            self.board,
            telemetry.RuntimeInfo("ai-edge-litert", "2.3.0", "2.4.6"),
            60.0,
            {"cam": telemetry.PipelineInfo("v4l2", self.task, self.model)},
            {},
        )
        model = telemetry.Model(
            self.model, "1.2", "5d1e0c77", "84d89877", self.task, "active", "cpu", self.state == "degraded"
        )
        why = {"degraded": "the CPU version serves", "waiting": "its source gives nothing", "failed": "no such camera"}
        yield self._message(topics.INFO, info)
        yield self._message(topics.MODEL, model)
        yield self._message(
            topics.PIPELINE_STATUS, telemetry.PipelineStatus(self.state, why.get(self.state, ""), _now())
        )
        yield self._state()
        yield Message(self._topic("status"), b"online" if self.online else b"offline", 1, retain=True)

    def live(self, seconds: float) -> Iterator[Message]:
        """Yield what is said at the end of an interval."""
        if not self.online:
            return
        temperature_c = 55 + 15 * math.sin(seconds / 40 + self.number) + self.chance.gauss(0, 1) + self.number % 7
        yield self._message(topics.METRICS, self._metrics(seconds, temperature_c))
        if self.state == "running" and self.chance.random() < 0.2:  # noqa: PLR2004 - one in five intervals
            yield self._state()
        if (temperature_c > 74.0) != self.hot:  # noqa: PLR2004 - a limit that is met now and then
            self.hot = not self.hot
            why = f"the temperature of the processor is {temperature_c:.1f} °C, {'' if self.hot else 'no longer '}above 74"
            kind: telemetry.EventKind = "alert.raised" if self.hot else "alert.cleared"
            yield self._message(
                topics.EVENT,
                telemetry.Event(kind, "warning", why, None, None, {"alert": "hot", "when": "temperature_c"}),
            )

    def _metrics(self, seconds: float, temperature_c: float) -> telemetry.Metrics:
        running = self.state in ("running", "degraded")
        self.frames += 600 if running else 0
        share = {"capture": 0.2, "preprocess": 0.1, "invoke": 0.8, "decode": 0.05, "total": 1.0, "frame_age": 2.5}
        latency: dict[str, Value] = {stage: self._spread(self.typical_ms * share[stage]) for stage in STAGES if running}
        figures: dict[str, Reading] = {
            "frames_in": self.frames + 9,
            "frames_inferred": self.frames,
            "frames_dropped": {"superseded": 9},
            "fps": 10.0 if running else 0.0,
            "latency_ms": latency,
        }
        cpu_pct = self.chance.uniform(10, 60) if running else 2.0
        return assemble(
            seconds,
            60.0,
            system={
                "uptime_s": 90_000 + seconds,
                "cpu_pct": cpu_pct,
                "memory_total_mb": 3977.5,
                "memory_available_mb": self.chance.uniform(2500, 3400),
                "temperature_c": temperature_c,
                "clock_mhz": 1800.0 if temperature_c < 80 else 1000.0,  # noqa: PLR2004 - where a Pi begins to slow down
                "throttled_s": max(0.0, temperature_c - 74.0),
                "throttled_by_s": {"frequency_capped": max(0.0, temperature_c - 74.0)},
                "power_w": {"estimated": 2.7 + cpu_pct / 27},
                "power_error_w": 0.9,
                "disk_total_mb": 31_268.5,
                "disk_free_mb": 21_870.3,
            },
            agent={"worker_restarts": 0},
            processes={"control": {"cpu_pct": 0.9, "rss_mb": 24.1}, "worker": {"cpu_pct": cpu_pct, "rss_mb": 65.0}},
            pipelines={"cam": figures},
            power_source=f"model of {self.board}",
        )

    def _spread(self, typical_ms: float) -> HistogramData:
        collected = Histogram()
        for _ in range(FRAMES):
            collected.add(round(typical_ms * 1e6 * self.chance.lognormvariate(0, 0.15)))
        return collected.drain()

    def _state(self) -> Message:
        label = self.chance.choice(LABELS[self.task])
        count = self.chance.randint(1, 3) if self.task == "detect" else 1
        return self._message(topics.STATE, telemetry.State(label, count, {label: count}, True, _now()))

    def _message(self, topic: topics.Topic, body: telemetry.Body) -> Message:
        self.seq += 1
        header = telemetry.Header(telemetry.SCHEMA_VERSION, self.name, _now(), f"{self.number:012x}", self.seq)
        path = topic.path.replace("<pipeline>", "cam")
        return Message(self._topic(path), telemetry.encode(header, body), topic.qos, topic.retain)

    def _topic(self, below: str) -> str:
        return topics.full_topic(settings.Mqtt().prefix, self.name, below)


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish until the time is up or Ctrl-C, then take back what was retained."""
    parser = argparse.ArgumentParser(prog="python -m inferd_tools.simulate", description=__doc__)
    parser.add_argument("--devices", type=int, default=3, help="how many")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two reports of a device")
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after so long")
    chosen = parser.parse_args(arguments)
    devices = [SimulatedDevice(number) for number in range(chosen.devices)]
    broker = settings.Mqtt(host=chosen.host, port=chosen.port)
    with Subscriber(broker, ["$SYS/none"]) as link:
        retained: set[str] = set()
        try:
            for device in devices:
                retained |= _send(link, device.begin())
            _live(link, devices, chosen.every, chosen.seconds)
        except KeyboardInterrupt:
            pass
        _send(link, (Message(topic, b"", 1, retain=True) for topic in sorted(retained)))
    return 0


def _live(link: Subscriber, devices: Sequence[SimulatedDevice], every_s: float, seconds: float) -> None:
    began = time.monotonic()
    while (running_s := time.monotonic() - began) < seconds:
        for device in devices:
            _send(link, device.live(running_s))
            time.sleep(every_s / len(devices))


def _send(link: Subscriber, messages: Iterator[Message]) -> set[str]:
    """Send, no faster than the link takes it; return the retained topics."""
    retained = set()
    for message in messages:
        while link.leaving >= MAX_LEAVING:
            time.sleep(0.01)
        link.send(message.topic, message.payload, retain=message.retain)
        if message.retain:
            retained.add(message.topic)
    return retained


def _now() -> str:
    return telemetry.iso_time(time.time())


if __name__ == "__main__":
    sys.exit(main())
