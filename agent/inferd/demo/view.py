"""What has been heard of the agent so far, and the view of it that a screen draws. No clock, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from inferd.demo.clip import Clip
from inferd.histogram import Histogram, HistogramData, merge
from inferd.records import Label, PipelineState
from inferd.telemetry.metrics import histogram
from inferd.wire.result import TimingMs
from inferd.wire.telemetry import Event, Figure, Latency, Metrics, Model, Number, PipelineStatus

SHOWN_STAGES = ("preprocess", "invoke", "decode", "total", "frame_age")
TIMED_STAGES = ("preprocess", "invoke", "decode", "total")
RECENT = 20
NS_PER_MS = 1_000_000


class ShownResult(msgspec.Struct, frozen=True):
    """What the screen needs of a result."""

    frame: int
    timing_ms: TimingMs
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Digit:
    """A frame: what was written, and what the model read.

    Attributes:
        frame: its number in the clip.
        picture: 8 rows of 8 cells, 0 (paper) to 15 (ink).
        truth: what was written.
        guess: what the model read; "" where it read nothing.
        score: how sure it is, 0..1.
    """

    frame: int
    picture: tuple[tuple[int, ...], ...]
    truth: str
    guess: str
    score: float

    @property
    def right(self) -> bool:
        """Whether the model read what was written."""
        return self.guess == self.truth


@dataclass(frozen=True, slots=True)
class DemoView:
    """All that a screen shows; None and empty where nothing is known (yet).

    Attributes:
        status: of the pipeline; "waiting" before the first word.
        why: the reason of that status.
        deaf: why nothing can be heard of the agent now; "" where it can.
        model: what runs, on what runtime; "" before it is told.
        digit: the newest frame.
        right, seen: how many results agree with the truth, of how many.
        recent: whether each of the last results was right, oldest first.
        fps: results a second, as the agent counts them.
        latency: by stage, in ms, over all results so far; as the agent adds it up, else by the results' own timing.
        dropped: frames without a result, by cause; None where nobody told.
        processes: figures by process of the agent.
        system: figures of the device.
        worker_pid: the worker's process number.
    """

    status: PipelineState = "waiting"
    why: str = ""
    deaf: str = ""
    model: str = ""
    digit: Digit | None = None
    right: int = 0
    seen: int = 0
    recent: tuple[bool, ...] = ()
    fps: float | None = None
    latency: Mapping[str, HistogramData] = field(default_factory=dict)
    dropped: Mapping[str, int] | None = None
    processes: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    system: Mapping[str, Number] = field(default_factory=dict)
    worker_pid: int | None = None

    @property
    def news(self) -> str:
        """What keeps results away, in words; "" where nothing does."""
        if self.deaf or self.status == "running":
            return self.deaf
        return f"{self.status}: {self.why}" if self.why else ""


class DemoState:
    """Listens to what the agent says of one pipeline; owned by the demo's main thread."""

    def __init__(self, clip: Clip, pipeline: str) -> None:
        """Listen to `pipeline`, which shows `clip`."""
        self._clip = clip
        self._pipeline = pipeline
        self._status = PipelineStatus("waiting", "", "")
        self._model = Model("")
        self._digit: Digit | None = None
        self._right = self._seen = 0
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._timed: dict[str, HistogramData] = {}
        self._latency: dict[str, HistogramData] = {}
        self._metrics: Metrics | None = None
        self._worker_pid: int | None = None

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a message; `topic` is below the device. What is not ours is left out: a broker is open to all."""
        try:
            if topic == f"{self._pipeline}/result":
                self._judge(msgspec.json.decode(payload, type=ShownResult))
            elif topic == f"{self._pipeline}/status":
                self._status = msgspec.json.decode(payload, type=PipelineStatus)
            elif topic == f"{self._pipeline}/model":
                self._model = msgspec.json.decode(payload, type=Model)
            elif topic == "metrics":
                self._count(msgspec.json.decode(payload, type=Metrics))
            elif topic == "event":
                self._note(msgspec.json.decode(payload, type=Event))
        except msgspec.MsgspecError:
            return

    def view(self, deaf: str = "") -> DemoView:
        """Return what there is to see now; `deaf` says why nothing can be heard."""
        metrics = self._metrics
        pipeline = metrics.pipelines.get(self._pipeline, {}) if metrics else {}
        return DemoView(
            status=self._status.status,
            why=self._status.why,
            deaf=deaf,
            model=_title(self._model),
            digit=self._digit,
            right=self._right,
            seen=self._seen,
            recent=tuple(self._recent),
            fps=_number(pipeline.get("fps")),
            latency=self._latency or self._timed,
            dropped=_counts(pipeline.get("frames_dropped")),
            processes={name: _numbers(figures) for name, figures in (metrics.processes if metrics else {}).items()},
            system=_numbers(metrics.system) if metrics else {},
            worker_pid=self._worker_pid,
        )

    def _judge(self, told: ShownResult) -> None:
        """Compare a result with the truth, and count."""
        best = told.labels[0] if told.labels else Label(-1, "", 0.0)
        picture, truth = self._clip.picture(told.frame), self._clip.truth(told.frame)
        self._digit = Digit(told.frame % self._clip.frames, picture, truth, best.label, best.score)
        self._right += self._digit.right
        self._seen += 1
        self._recent.append(self._digit.right)
        for stage in TIMED_STAGES:
            spent = Histogram()
            spent.add(round(getattr(told.timing_ms, stage) * NS_PER_MS))
            self._timed[stage] = merge(self._timed.get(stage, HistogramData()), spent.drain())

    def _count(self, metrics: Metrics) -> None:
        self._metrics = metrics
        stages = metrics.pipelines.get(self._pipeline, {}).get("latency_ms")
        for stage, told in (stages if isinstance(stages, Mapping) else {}).items():
            if isinstance(told, Latency):
                self._latency[stage] = merge(self._latency.get(stage, HistogramData()), histogram(told))

    def _note(self, event: Event) -> None:
        pid = event.data.get("pid")
        if event.kind == "worker.started" and isinstance(pid, int):
            self._worker_pid = pid


def _title(model: Model) -> str:
    if model.runtime is None:
        return ""
    return f"{model.name} {model.version} on {model.runtime} {model.runtime_version}"


def _number(figure: Figure) -> Number:
    return None if isinstance(figure, Mapping) else figure


def _numbers(figures: Mapping[str, Figure]) -> dict[str, Number]:
    return {name: _number(figure) for name, figure in figures.items()}


def _counts(figure: Figure) -> dict[str, int] | None:
    if not isinstance(figure, Mapping):
        return None
    return {name: count for name, count in figure.items() if isinstance(count, int)}
