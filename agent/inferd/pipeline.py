"""One turn of the loop. Read this first: every other module brings frames here or carries results away.

    frame ─▶ preprocess, into the engine's own memory ─▶ invoke ─▶ task, out of the engine's memory ─▶ result

`tick` is that turn. A `PipelineQueue` is one pipeline's share of a loop thread: its newest frame, the rules by which its
results are reported, and its counters. In `worker/`, `capture.py` fills it, `loop.py` empties it, and `oneshot.py` uses the
same `tick` for `inferd infer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from inferd.config import settings
from inferd.engine_choice import with_scales
from inferd.errors import InferdError, ModelError, NonFiniteOutput, SourceError
from inferd.health.recent import RecentAnswers
from inferd.histogram import Histogram
from inferd.ipc import PipelineCounts
from inferd.plugins import TASKS, Engine, PaintsPixels, Preprocess, Task, WatchesInput, find
from inferd.preprocess import build as build_preprocess
from inferd.preprocess import wanted
from inferd.preprocess.change import ChangeGate
from inferd.preprocess.quality import Quality, over
from inferd.records import STAGES, Array, Frame, Geometry, ModelRef, Overlay, Result, StageTimes, Tick, Wanted
from inferd.system.threads import Condition, Latest, Lock
from inferd.tasks.rules.hard_samples import HardSamples
from inferd.tasks.rules.report import Reporter
from inferd.tasks.rules.tracks_zones_lines import TrackingRules
from inferd.temporal_state import TemporalState, memory_of, remembers
from inferd.wire.manifest import ModelDescription, QualitySection

CHECKED = 1 << 16  # values of an output that are looked at: 2 µs for 1,001, 30 µs for all these
NOTHING_WANTED = Wanted()
MOST_NOTED = 1000  # frames whose times wait to be sorted between two drains
SILENT_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Steps:
    """The processing steps of a frame, and the input the model prefers. Used by one thread."""

    preprocess: Preprocess
    engine: Engine
    task: Task
    wanted: Wanted = NOTHING_WANTED
    quality: Quality = field(default_factory=lambda: Quality(QualitySection()))
    memory: TemporalState = field(default_factory=TemporalState)
    change: ChangeGate = field(default_factory=lambda: ChangeGate(settings.ChangeConfig()))


def tick(frame: Frame, steps: Steps, now_ns: Callable[[], int]) -> Tick:
    """Take one frame through the model.

    Args:
        frame: a frame from the source.
        steps: the processing steps.
        now_ns: the monotonic clock.

    Returns:
        The result, coordinates normalised to the frame, and the time of each stage.

    Raises:
        SourceError: the model cannot take this frame; the next one may fit.
        EngineError: the runtime refused.
        NonFiniteOutput: the model answered NaN or infinity.
    """
    started = now_ns()
    steps.memory.advance(frame)
    geometry = steps.engine.write(partial(_preprocess, steps.preprocess, frame))
    filled = now_ns()
    steps.engine.invoke()
    invoked = now_ns()
    result = steps.engine.read(partial(_decode, steps.task, geometry))
    decoded = now_ns()
    times = StageTimes(
        capture=frame.capture_ns,
        preprocess=filled - started,
        invoke=invoked - filled,
        decode=decoded - invoked,
        total=decoded - started,
        frame_age=decoded - frame.taken_ns,
    )
    return Tick(result, times, frame.seq, frame.taken_at, frame.origin, frame.crop)


def scene_ns(frame: Frame) -> int:
    """Return the time of the scene, ns: the position in the recording, else the capture time.

    The speed at which a recording is read must not change how long an object stays in a zone.
    """
    return frame.taken_ns if frame.position_s is None else round(frame.position_s * 1e9)


def _preprocess(preprocess: Preprocess, frame: Frame, inputs: Sequence[Array]) -> Geometry:
    """Fill the inputs; a frame that a library cannot take costs this frame only."""
    try:
        return preprocess(frame, inputs)
    except InferdError:
        raise
    except Exception as exc:
        raise SourceError("frame", f"cannot be preprocessed ({type(exc).__name__})") from exc


def _decode(task: Task, geometry: Geometry, outputs: Sequence[Array]) -> Result:
    """Decode the outputs; refuse NaN and infinity, which compare with thresholds arbitrarily."""
    for output in outputs:
        if output.dtype.kind == "f" and not np.isfinite(output.reshape(-1)[:CHECKED]).all():
            raise NonFiniteOutput("model", "answered NaN or infinity; see how it was quantised or exported")
    try:
        return task.decode(outputs, geometry)
    except InferdError:
        raise
    except Exception as exc:
        raise ModelError("model", f"its outputs cannot be decoded ({type(exc).__name__})") from exc


def build_steps(
    description: ModelDescription,
    engine: Engine,
    roi: tuple[float, float, float, float],
    quality: QualitySection | None = None,
    change: ChangeGate | None = None,
) -> Steps:
    """Build the steps for this model and the part `roi` of the picture (y0, x0, y1, x1, each 0..1).

    `quality` overrides the section of the model's manifest.

    Raises:
        ModelError: the description lacks what the task needs, or contradicts the engine's tensors.
    """
    info = with_scales(engine.info, description.facts)
    task: Task = find("task", TASKS, description.manifest.model.task or "raw")(description, info)
    preprocess = build_preprocess(description, info, roi)
    memory = memory_of(description, engine, preprocess, task)
    if isinstance(task, WatchesInput):
        preprocess = _Watched(preprocess, task)
    rules = over(description.manifest.quality, quality or QualitySection())
    steps = Steps(preprocess, engine, task, wanted(description, engine.info), Quality(rules), memory)
    return replace(steps, change=change) if change is not None and not remembers(description) else steps


class _Watched:
    """Passes the written inputs on to the task."""

    def __init__(self, preprocess: Preprocess, task: WatchesInput) -> None:
        self._preprocess = preprocess
        self._task = task

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:
        geometry = self._preprocess(frame, inputs)
        self._task.watch(inputs)
        return geometry


class Counters:
    """Counters of one pipeline since the last drain. Any thread may count; one drains."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._reset()

    def frame_in(self) -> None:
        """Count a frame that the source gave."""
        with self._lock:
            self._frames_in += 1

    def flawed(self, flaw: str) -> None:
        """Count a frame with a flaw, whether or not the model got it."""
        with self._lock:
            self._flawed[flaw] += 1

    def dropped(self, cause: str) -> None:
        """Count a frame that gave no result, and why."""
        with self._lock:
            self._dropped[cause] += 1

    def boxes_ignored(self, count: int) -> None:
        """Count boxes that an "ignore" mask dropped."""
        with self._lock:
            self._boxes_ignored += count

    def source_restarted(self) -> None:
        """Count a failed source that will be reopened."""
        with self._lock:
            self._source_restarts += 1

    def inferred(self, times: StageTimes, *, reported: bool) -> None:
        """Count a result, and whether it was reported.

        Times are only stored: sorting them into histograms costs six logarithms on the loop's thread.
        """
        with self._lock:
            self._inferred += 1
            self._reported += reported
            self._noted.append(times)
            if len(self._noted) >= MOST_NOTED:
                self._sort_noted()

    def drain(self) -> PipelineCounts:
        """Return the counts and reset them."""
        with self._lock:
            self._sort_noted()
            counts = PipelineCounts(
                frames_in=self._frames_in,
                frames_inferred=self._inferred,
                frames_dropped=dict(self._dropped),
                frames_flawed=dict(self._flawed),
                results_reported=self._reported,
                results_suppressed=self._inferred - self._reported,
                source_restarts=self._source_restarts,
                boxes_ignored=self._boxes_ignored,
                latency={stage: histogram.drain() for stage, histogram in self._latency.items()},
            )
            self._reset()
        return counts

    def _sort_noted(self) -> None:
        for stage, histogram in self._latency.items():
            for times in self._noted:
                histogram.add(getattr(times, stage))
        self._noted.clear()

    def _reset(self) -> None:
        self._noted: list[StageTimes] = []
        self._frames_in = self._inferred = self._reported = self._source_restarts = self._boxes_ignored = 0
        self._dropped: Counter[str] = Counter()
        self._flawed: Counter[str] = Counter()
        self._latency = {stage: Histogram() for stage in STAGES}


@dataclass(frozen=True, slots=True)
class ObservedFrame:
    """A frame with its result, for viewers and samples."""

    frame: Frame
    turn: Tick
    ref: ModelRef
    overlay: Overlay | None


class PipelineQueue:
    """One pipeline's share of a loop thread."""

    def __init__(self, pipeline: settings.Pipeline, changed: Condition) -> None:
        """Make an empty queue.

        Args:
            pipeline: the pipeline it belongs to.
            changed: notified whenever a frame is put or taken; shared by all queues of a loop.
        """
        self.pipeline = pipeline
        self.frames: Latest[Frame] = Latest(changed)
        self.counters = Counters()
        self.tracker = TrackingRules(pipeline.track, pipeline.zone, pipeline.line)
        self.reporter = Reporter(pipeline.report)
        self.wanted: Wanted | None = None
        """The input the model prefers; None before there is a model. Set by the worker's main thread."""
        self._hard = HardSamples(pipeline.samples)
        self.picked: Latest[tuple[str, ObservedFrame]] = Latest()
        self.recent = RecentAnswers()
        self._viewers: list[Latest[ObservedFrame]] = []
        self._viewers_lock = Lock()
        self.reading_since_ns = 0
        self.inferring = False

    def wait_observed(self, timeout_s: float) -> ObservedFrame | None:
        """Return the next frame with its result; None after `timeout_s`. For any thread but the loop's."""
        mine: Latest[ObservedFrame] = Latest()
        with self._viewers_lock:
            self._viewers.append(mine)
        seen = mine.wait_take(timeout_s)
        if seen is None:
            with self._viewers_lock, suppress(ValueError):  # it was just delivered
                self._viewers.remove(mine)
        return seen

    def publish_observed(self, frame: Frame, turn: Tick, ref: ModelRef, task: Task) -> None:
        """Record a result and hand it with its frame to all waiting viewers."""
        self.recent.take(frame, turn, ref)
        if self._viewers:
            seen = ObservedFrame(frame, turn, ref, task.overlay() if isinstance(task, PaintsPixels) else None)
            with self._viewers_lock:
                viewers, self._viewers = self._viewers, []
            for one in viewers:
                one.put(seen)

    def pick_sample(self, seen: ObservedFrame, now_ns: int) -> None:
        """Pick a hard sample for the sample writer; called after the reporter."""
        if why := self._hard.pick(seen.turn.result, agrees=self.reporter.agrees(), now_ns=now_ns):
            self.picked.put((why, seen))

    def silent(self, now_ns: int) -> bool:
        """Whether one read has taken more than 5 s: native reads may exceed their time-out."""
        since_ns = self.reading_since_ns
        return since_ns > 0 and now_ns - since_ns > SILENT_NS

    def put(self, frame: Frame) -> None:
        """Put the newest frame; the one it replaces is dropped and counted."""
        self.counters.frame_in()
        for older in self.frames.put(frame):
            self.counters.dropped("superseded")
            if older.answer is not None:
                older.answer(None)
