"""What control and the worker say to each other."""

from __future__ import annotations

from typing import Literal

import msgspec

from inferd.config.settings import EngineConfig, Pipeline
from inferd.histogram import HistogramData
from inferd.ipc.base import IpcMessage
from inferd.records import EngineInfo, LabelSummary, ModelRef, PipelineState, Stage, Tick
from inferd.wire.manifest import ModelDescription


class Assignment(msgspec.Struct, frozen=True):
    """An engine key, its slot in the shared progress page, and the pipelines that share this engine."""

    engine_key: str
    slot: int
    pipelines: tuple[Pipeline, ...]


class Plan(IpcMessage, frozen=True):
    """Control → worker: the pipelines there should be. Assignments that have not changed go on undisturbed."""

    assignments: tuple[Assignment, ...]


class FallbackOffer(msgspec.Struct, frozen=True):
    """The model that the CPU runs where an accelerator fails; the last descriptor of its offer is its blob's."""

    description: ModelDescription
    engine: EngineConfig


class Offer(IpcMessage, frozen=True):
    """Control → worker: a vetted model to load, warm and take between two ticks; the blob's descriptor comes beside.

    Attributes:
        fallback: to be kept warm beside it; None where there is none, or no memory for it.
        degraded: why it serves in place of another; "" where it is what was meant.
        needs_mb: what the vet child saw it take; 0 where it was not seen.
        replay_mb: what frames of its trial may take, to be shown to the model before; 0 keeps none.
    """

    engine_key: str
    description: ModelDescription
    engine: EngineConfig
    fallback: FallbackOffer | None = None
    degraded: str = ""
    needs_mb: float = 0.0
    replay_mb: float = 0.0


class ShadowReplay(IpcMessage, frozen=True):
    """Control → worker: show the model before, whose descriptor comes beside, what the one on trial was shown.

    Attributes:
        engine_key: whose models they are.
        digest: of the model on trial.
        description: of the model before; None where it cannot be run beside the other.
        engine: how that one is run.
        needs_mb: what it takes.
        always: whether it is shown all, however harmless the answers look, because it is to be timed.
    """

    engine_key: str
    digest: str
    description: ModelDescription | None
    engine: EngineConfig
    needs_mb: float = 0.0
    always: bool = False


class ShowFrame(IpcMessage, frozen=True):
    """Control → worker: answer whoever asked for a frame, whose connection comes beside.

    Attributes:
        pipeline: whose next frame it is.
        drawn: whether what was found is drawn on it.
        jpeg_bytes: the most that a JPEG of it may have; 0 for a PNG, which loses nothing.
    """

    pipeline: str
    drawn: bool
    jpeg_bytes: int = 0


class Stop(IpcMessage, frozen=True):
    """Control → worker: end."""


class OfferTaken(IpcMessage, frozen=True):
    """Worker → control: the offered model serves now, and took the place of another where `swapped`.

    Attributes:
        pause_ms: how long the loop did not turn for it.
        degraded: why it serves in place of another; "" where it is what was meant.
    """

    engine_key: str
    ref: ModelRef
    info: EngineInfo
    swapped: bool
    pause_ms: float
    degraded: str = ""


class FellBack(IpcMessage, frozen=True):
    """Worker → control: the accelerator of an engine failed; its CPU version serves now, if there is one."""

    engine_key: str
    why: str
    fallback_serves: bool


class OfferRefused(IpcMessage, frozen=True):
    """Worker → control: the offered model did not load; whatever served before still does."""

    engine_key: str
    ref: ModelRef
    why: str


class TurnTimes(msgspec.Struct, frozen=True):
    """How long turns took, milliseconds."""

    median_ms: float
    p95_ms: float


class ShadowReplayDone(IpcMessage, frozen=True):
    """Worker → control: what came of showing two models the same frames.

    Attributes:
        engine_key, digest: as they were asked for.
        found: "fine" (nothing had to be shown), "alike", "collapsed", "differs", or "unknown" where it is suspicious and
            could not be settled.
        why: the sentence.
        now: how long the last turns of the model on trial took; None where there were none.
        before: how long turns of the model before took; None where it was not run.
    """

    engine_key: str
    digest: str
    found: Literal["fine", "alike", "collapsed", "differs", "unknown"]
    why: str = ""
    now: TurnTimes | None = None
    before: TurnTimes | None = None


class Status(IpcMessage, frozen=True):
    """Worker → control: a pipeline's state changed."""

    pipeline: str
    state: PipelineState
    why: str


class ResultReported(IpcMessage, frozen=True):
    """Worker → control: a result that the pipeline's rules let out."""

    pipeline: str
    ref: ModelRef
    tick: Tick


class Settled(IpcMessage, frozen=True):
    """Worker → control: a pipeline's debounced answer changed."""

    pipeline: str
    answer: LabelSummary


class PipelineFault(IpcMessage, frozen=True):
    """Worker → control: something went wrong that did not end the pipeline; told once, then counted."""

    pipeline: str
    kind: str
    why: str


class PipelineCounts(msgspec.Struct, frozen=True):
    """What a pipeline counted since the last Counts."""

    frames_in: int
    frames_inferred: int
    frames_dropped: dict[str, int]
    results_reported: int
    results_suppressed: int
    source_restarts: int
    latency: dict[Stage, HistogramData]
    frames_flawed: dict[str, int] = {}
    boxes_ignored: int = 0


class Counts(IpcMessage, frozen=True):
    """Worker → control, twice a second: what was counted in the last `covered_s` seconds, by pipeline.

    Attributes:
        messages_lost: since the worker's start, because control was slow to take them.
    """

    covered_s: float
    pipelines: dict[str, PipelineCounts]
    messages_lost: int


class Stopped(IpcMessage, frozen=True):
    """Worker → control: the last message; names the threads that did not end."""

    stuck: tuple[str, ...]


ToWorker = Plan | Offer | ShadowReplay | ShowFrame | Stop


FromWorker = (
    OfferTaken
    | FellBack
    | OfferRefused
    | ShadowReplayDone
    | Status
    | ResultReported
    | Settled
    | PipelineFault
    | Counts
    | Stopped
)
