"""The state of a device, from its messages. No clock, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from inferd.histogram import HistogramData, merge, quantile
from inferd.telemetry.metrics import histogram
from inferd.wire.decoding import decode
from inferd.wire.replay import decode_missed
from inferd.wire.telemetry import Event, Figure, Info, Latency, Metrics, Model, Number, PipelineStatus, State

MAX_EVENTS = 50
MAX_PIPELINES = 64  # any client of a broker may publish: a watcher must not grow without bound
MAX_ALERTS = 100
SUFFIXES = ("status", "state", "model", "result")


@dataclass(slots=True)
class PipelineView:
    """What is known of a pipeline; None for what is not known."""

    status: PipelineStatus | None = None
    state: State | None = None
    model: Model | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def fps(self) -> Number:
        """Results a second in the last interval."""
        return number(self.figures.get("fps"))

    def latency(self, stage: str = "total") -> Latency | None:
        """Return what a stage took in the last interval."""
        stages = self.figures.get("latency_ms")
        told = stages.get(stage) if isinstance(stages, Mapping) else None
        return told if isinstance(told, Latency) else None


@dataclass(slots=True)
class DeviceState:
    """What is known of a device. Its maker owns it; `update` takes every message, in the order of arrival.

    Attributes:
        online: None while it is not known.
        results: how many have come.
        alerts: the sentences of those that are not over, by name and pipeline.
        events: the newest, oldest first, each with its time.
    """

    online: bool | None = None
    info: Info | None = None
    metrics: Metrics | None = None
    pipelines: dict[str, PipelineView] = field(default_factory=dict)
    alerts: dict[tuple[str, str], Event] = field(default_factory=dict)
    events: deque[tuple[str, Event]] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    results: int = 0
    _boot_id: str = ""
    _newest: dict[tuple[str, str], int] = field(default_factory=dict)
    """The number of the newest word on an alert: a batch of what the broker missed may come after what is newer."""

    def update(self, topic: str, payload: bytes) -> bool:
        """Apply a message; `topic` is below the device. Return False for one that is not valid, or changes nothing."""
        try:
            return self._update(topic, payload)
        except msgspec.MsgspecError:
            return False

    @property
    def state(self) -> str:
        """The device in a word: "offline", else the worst state of its pipelines."""
        if self.online is False:
            return "offline"
        states = [seen.status.status for seen in self.pipelines.values() if seen.status is not None]
        for state in ("failed", "degraded", "waiting", "running", "ended", "sleeping"):
            if state in states:
                return state
        return "online" if self.online else "unknown"

    @property
    def fps(self) -> float | None:
        """Results a second of all pipelines together; None where none tells."""
        told = [seen.fps for seen in self.pipelines.values() if seen.fps is not None]
        return float(sum(told)) if told else None

    @property
    def latency(self) -> HistogramData:
        """What a whole turn took, over all pipelines in the last interval."""
        added = HistogramData()
        for seen in self.pipelines.values():
            if (told := seen.latency()) is not None:
                added = merge(added, histogram(told))
        return added

    def system(self, name: str) -> Number:
        """Return a figure of the device; None where it is not told."""
        return number(self.metrics.system.get(name)) if self.metrics else None

    @property
    def power(self) -> tuple[float | None, str]:
        """Watts, and whether they are "measured" or "estimated"; None and "" where nobody tells."""
        told = self.metrics.system.get("power_w") if self.metrics else None
        for basis, watts in told.items() if isinstance(told, Mapping) else ():
            if isinstance(watts, int | float):
                return float(watts), basis
        return None, ""

    @property
    def model(self) -> str:
        """The models that serve, by name and version."""
        models = [seen.model for seen in self.pipelines.values() if seen.model is not None and seen.model.name]
        return ", ".join(dict.fromkeys(f"{model.name} {model.version}".strip() for model in models))

    def _update(self, topic: str, payload: bytes) -> bool:
        match topic.split("/"):
            case ["status"]:
                self.online = payload == b"online"
            case ["info"]:
                self._starts(decode(_id, payload).boot_id)
                self._about(decode(_info, payload))
            case ["metrics" | "rollup"]:
                self._count(_checked(decode(_metrics, payload)))
            case ["event"]:
                self._happened(payload)
            case ["replay"]:
                self._missed(payload)
                return False  # it says nothing of now
            case [pipeline, last] if last in SUFFIXES:
                self._of_pipeline(pipeline, last, payload)
            case _:
                return False
        return True

    def _about(self, info: Info) -> None:
        self.info = info
        for gone in self.pipelines.keys() - info.pipelines.keys():
            del self.pipelines[gone]

    def _count(self, metrics: Metrics) -> None:
        self.metrics = metrics
        for name, figures in list(metrics.pipelines.items())[:MAX_PIPELINES]:
            if (seen := self._pipeline(name)) is not None:
                seen.figures = figures

    def _starts(self, boot_id: str) -> None:
        """Forget what an earlier start has said of alerts: whoever starts watches from the beginning."""
        if self._boot_id not in ("", boot_id):
            self.alerts.clear()
        if self._boot_id != boot_id:
            self._newest.clear()
        self._boot_id = boot_id

    def _happened(self, payload: bytes) -> None:
        event, stamp = decode(_event, payload), decode(_id, payload)
        self.events.append((stamp.time, event))
        if event.kind == "agent.started":
            self.alerts.clear()
        self._alert(event, stamp.seq)

    def _missed(self, payload: bytes) -> None:
        """Take from a batch the alerts of this start on which nothing newer was said; the rest is of another time."""
        for message in (bytes(one.message) for one in decode_missed(payload) if one.topic == "event"):
            event, stamp = decode(_event, message), decode(_id, message)
            key = (str(event.data.get("alert")), event.pipeline or "")
            if stamp.boot_id == self._boot_id and stamp.seq > self._newest.get(key, 0):
                self._alert(event, stamp.seq)

    def _alert(self, event: Event, seq: int) -> None:
        key = (str(event.data.get("alert")), event.pipeline or "")
        if event.kind == "alert.raised" and len(self.alerts) < MAX_ALERTS:
            self.alerts[key] = event
        elif event.kind == "alert.cleared":
            self.alerts.pop(key, None)
        else:
            return
        if key in self._newest or len(self._newest) < MAX_ALERTS:
            self._newest[key] = seq

    def _of_pipeline(self, pipeline: str, last: str, payload: bytes) -> None:
        if last == "result":
            self.results += 1
        elif not payload:  # taken back: the pipeline is gone
            self.pipelines.pop(pipeline, None)
        elif (seen := self._pipeline(pipeline)) is not None:
            match last:
                case "status":
                    seen.status = decode(_status, payload)
                case "state":
                    seen.state = decode(_state, payload)
                case "model":
                    seen.model = decode(_model, payload)

    def _pipeline(self, name: str) -> PipelineView | None:
        if name not in self.pipelines and len(self.pipelines) >= MAX_PIPELINES:
            return None
        return self.pipelines.setdefault(name, PipelineView())


class MessageId(msgspec.Struct, frozen=True):
    """Which message it is."""

    time: str = ""
    boot_id: str = ""
    seq: int = 0


_id = msgspec.json.Decoder(MessageId)
_info = msgspec.json.Decoder(Info)
_metrics = msgspec.json.Decoder(Metrics)
_event = msgspec.json.Decoder(Event)
_status = msgspec.json.Decoder(PipelineStatus)
_state = msgspec.json.Decoder(State)
_model = msgspec.json.Decoder(Model)


def _checked(metrics: Metrics) -> Metrics:
    """Return metrics whose histograms can be computed with.

    Raises:
        msgspec.ValidationError: a histogram is not one: its numbers overflow.
    """
    for figures in metrics.pipelines.values():
        stages = figures.get("latency_ms")
        for one in stages.values() if isinstance(stages, Mapping) else ():
            try:
                if isinstance(one, Latency):
                    quantile(histogram(one), 1.0)
            except (ArithmeticError, ValueError) as exc:
                raise msgspec.ValidationError(f"latency_ms is no histogram ({exc})") from exc
    return metrics


def number(figure: Figure) -> Number:
    """Return a figure that is one number; None where it is none, or several."""
    return None if isinstance(figure, Mapping) else figure
