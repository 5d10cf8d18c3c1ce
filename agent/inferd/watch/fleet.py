"""All devices of a broker, and the view of them that a screen draws: sorted, filtered, one chosen. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from inferd.histogram import quantile
from inferd.telemetry.device_state import MAX_ALERTS, MAX_EVENTS, DeviceState
from inferd.wire.terminal_text import one_line_json

MAX_DEVICES = 2_000
MAX_PAYLOAD_BYTES = 64_000  # of a batch of missed messages; any other has less than 20,000
MAX_BYTES = 256 << 20  # of all that is kept, as JSON
KEPT_EVENTS = MAX_EVENTS + MAX_ALERTS  # of a device, each as large as its newest
Sort = Literal["state", "device", "fps", "p95", "temperature", "alerts"]
SORTS: tuple[Sort, ...] = ("state", "device", "fps", "p95", "temperature", "alerts")
WORST_FIRST = ("failed", "offline", "degraded", "waiting", "unknown", "ended", "sleeping", "online", "running")


@dataclass(frozen=True, slots=True)
class Row:
    """A device in a line; None where it is not known."""

    device: str
    state: str
    fps: float | None
    p95_ms: float | None
    temperature_c: float | None
    power_w: float | None
    basis: str
    cpu_pct: float | None
    throttled: bool
    model: str
    alerts: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """What a person wants to see.

    Attributes:
        sort: by what; `state` and `alerts` have the worst first.
        filter: only devices in which each of these words is found: name, state, model, alert.
        typing: whether the filter is being typed.
        at: which row is chosen, 0 for the first.
        inside: whether the chosen device fills the screen.
    """

    sort: Sort = "state"
    filter: str = ""
    typing: bool = False
    at: int = 0
    inside: bool = False


@dataclass(frozen=True, slots=True)
class FleetView:
    """What there is to see: the rows in their order, how many devices there are at all, and how they are."""

    rows: tuple[Row, ...]
    devices: int
    states: dict[str, int]
    alerts: int
    fps: float
    wish: FleetQuery
    chosen: DeviceState | None
    deaf: str


class Fleet:
    """The devices of a broker. Owned by one thread.

    Any client of a broker may publish anything: what is not valid is counted and changes nothing, memory is bounded.

    Attributes:
        devices: by id.
        refused: messages that were not valid, or too many.
    """

    def __init__(self, prefix: str) -> None:
        """Show devices whose topics begin with `prefix`."""
        self.devices: dict[str, DeviceState] = {}
        self.refused = 0
        self._prefix = prefix + "/"
        self._sizes: dict[str, int] = {}
        """Bytes that the newest message of each topic keeps."""
        self._kept_bytes = 0

    def update(self, topic: str, payload: bytes) -> None:
        """Apply a message."""
        try:
            self._update(topic, payload)
        except Exception:  # noqa: BLE001 - whatever foreign bytes can cause, it must not end a watcher
            self.refused += 1

    def _update(self, topic: str, payload: bytes) -> None:
        device, _, below = topic.removeprefix(self._prefix).partition("/")
        if not topic.startswith(self._prefix) or not below:
            return
        if not topic.isprintable() or not self._fits(topic, below, payload):
            self.refused += 1
            return
        seen = self.devices.get(device) or DeviceState()
        if seen.update(below, one_line_json(payload) if payload.startswith((b"{", b"[")) else payload):
            self.devices[device] = seen
            self._keep(topic, below, payload)

    def _fits(self, topic: str, below: str, payload: bytes) -> bool:
        device_known = topic.removeprefix(self._prefix).partition("/")[0] in self.devices
        more = self._weight(below, payload) - self._sizes.get(topic, 0)
        return (
            len(payload) <= MAX_PAYLOAD_BYTES
            and self._kept_bytes + more <= MAX_BYTES
            and (device_known or len(self.devices) < MAX_DEVICES)
        )

    def _keep(self, topic: str, below: str, payload: bytes) -> None:
        weight = self._weight(below, payload)
        self._kept_bytes += weight - self._sizes.get(topic, 0)
        if weight:
            self._sizes[topic] = weight
        else:
            self._sizes.pop(topic, None)

    def _weight(self, below: str, payload: bytes) -> int:
        if below.endswith("/result"):
            return 0  # only counted
        return len(payload) * (KEPT_EVENTS if below == "event" else 1)

    def view(self, wish: FleetQuery, deaf: str = "") -> FleetView:
        """Return what a person wants to see now; `deaf` says why nothing can be heard."""
        everything = [row_of(name, seen) for name, seen in self.devices.items()]
        words = wish.filter.lower().split()
        rows = sorted(
            (row for row in everything if _matches(row, words)), key=lambda row: (KEYS[wish.sort](row), row.device)
        )
        wish = replace(wish, at=max(0, min(wish.at, len(rows) - 1)))
        states: dict[str, int] = {}
        for row in everything:
            states[row.state] = states.get(row.state, 0) + 1
        return FleetView(
            rows=tuple(rows),
            devices=len(everything),
            states={state: states[state] for state in WORST_FIRST if state in states},
            alerts=sum(len(row.alerts) for row in everything),
            fps=sum(row.fps or 0.0 for row in everything),
            wish=wish,
            chosen=self.devices[rows[wish.at].device] if rows and wish.inside else None,
            deaf=deaf,
        )


def row_of(name: str, seen: DeviceState) -> Row:
    """Return a device in a line; one that is offline has no figures, for the last ones are about another time."""
    live = seen.online is not False
    watts, basis = seen.power if live else (None, "")
    whys = [
        f"{pipeline}: {one.status.why}" for pipeline, one in seen.pipelines.items() if one.status and one.status.why
    ]
    return Row(
        device=name,
        state=seen.state,
        fps=seen.fps if live else None,
        p95_ms=quantile(seen.latency, 0.95) if live else None,
        temperature_c=seen.system("temperature_c") if live else None,
        power_w=watts,
        basis=basis,
        cpu_pct=seen.system("cpu_pct") if live else None,
        throttled=live and bool(seen.system("throttled_s")),
        model=seen.model,
        alerts=tuple(f"{alert} ({pipeline})" if pipeline else alert for alert, pipeline in seen.alerts),
        why="; ".join(whys) if live else "",
    )


def _matches(row: Row, words: list[str]) -> bool:
    text = " ".join((row.device, row.state, row.model, *row.alerts, "throttled" if row.throttled else "")).lower()
    return all(word in text for word in words)


def _most(value: float | None) -> tuple[bool, float]:
    """Sort large values first, and what is not known last."""
    return value is None, -(value or 0.0)


KEYS: dict[Sort, Callable[[Row], object]] = {
    "state": lambda row: (WORST_FIRST.index(row.state), -len(row.alerts)),
    "device": lambda row: row.device,
    "fps": lambda row: _most(row.fps),
    "p95": lambda row: _most(row.p95_ms),
    "temperature": lambda row: _most(row.temperature_c),
    "alerts": lambda row: -len(row.alerts),
}
