"""What this device has said of itself, for those who ask it instead of a broker: commands on the device, Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inferd.histogram import HistogramData, merge
from inferd.records import Incoming, LinkEvent, Message
from inferd.system.threads import Lock
from inferd.telemetry.device_state import DeviceState
from inferd.telemetry.metrics import histogram
from inferd.telemetry.prometheus.exposition import Family, families
from inferd.wire.telemetry import Latency, Metrics


class LastMessages:
    """A `parts.Link` that ends here: it hears what the device says. Any thread may ask it."""

    connected = True

    def __init__(self) -> None:
        self._seen = DeviceState(online=True)
        self._histograms: dict[tuple[str, str], HistogramData] = {}
        self._lock = Lock()

    def publish(self, message: Message) -> None:
        """Take a message."""
        if message.absolute:
            return
        with self._lock:
            if self._seen.update(message.topic, message.payload) and message.topic in ("metrics", "rollup"):
                self._add(self._seen.metrics)

    def status(self) -> dict[str, Any]:  # Any: JSON
        """Return what `inferd status --json` prints."""
        with self._lock:
            seen = self._seen
            return {
                "state": seen.state,
                "info": msgspec.to_builtins(seen.info),
                "pipelines": {
                    name: {
                        "status": msgspec.to_builtins(one.status),
                        "state": msgspec.to_builtins(one.state),
                        "model": msgspec.to_builtins(one.model),
                    }
                    for name, one in seen.pipelines.items()
                },
                "alerts": [msgspec.to_builtins(event) for event in seen.alerts.values()],
                "metrics": msgspec.to_builtins(seen.metrics),
            }

    @property
    def state(self) -> str:
        """The device in a word."""
        with self._lock:
            return self._seen.state

    def families(self) -> list[Family]:
        """Return what Prometheus is told."""
        with self._lock:
            return families(self._seen, self._histograms)

    def dropped(self) -> int:
        """Return 0: nothing waits here."""
        return 0

    def incoming(self) -> list[Incoming]:
        """Return nothing: nobody speaks here."""
        return []

    def events(self) -> list[LinkEvent]:
        """Return nothing."""
        return []

    def close(self, timeout_s: float) -> None:
        """Nothing is open."""

    def _add(self, metrics: Metrics | None) -> None:
        """Add an interval's histograms to those of all intervals before; pipelines that are gone go with theirs."""
        pipelines = metrics.pipelines if metrics else {}
        for key in [key for key in self._histograms if key[0] not in pipelines]:
            del self._histograms[key]
        for name, figures in pipelines.items():
            stages = figures.get("latency_ms")
            for stage, told in stages.items() if isinstance(stages, Mapping) else ():
                if isinstance(told, Latency) and (told.counts or not told.count):
                    before = self._histograms.get((name, stage), HistogramData())
                    self._histograms[name, stage] = merge(before, histogram(told))
