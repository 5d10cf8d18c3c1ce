"""The messages between control and its children. Both ends are of one version, so nothing here is kept compatible."""

from __future__ import annotations

from typing import Literal

import msgspec

from inferd.config.settings import Engine, Overrides, Pipeline, Source, Track
from inferd.histogram import HistogramData
from inferd.records import Answer, EngineInfo, ModelRef, PipelineState, Stage, Tick
from inferd.wire.manifest import BudgetSection, ModelDescription
from inferd.wire.vetting import Gate


class Message(msgspec.Struct, frozen=True, tag=True):
    """What all messages have in common: on the wire they carry their class's name."""


class Assignment(msgspec.Struct, frozen=True):
    """An engine key, its slot in the shared progress page, and the pipelines that share this engine."""

    engine_key: str
    slot: int
    pipelines: tuple[Pipeline, ...]


class Plan(Message, frozen=True):
    """Control → worker: the pipelines there should be. Assignments that have not changed go on undisturbed."""

    assignments: tuple[Assignment, ...]


class Twin(msgspec.Struct, frozen=True):
    """The model that the CPU runs where an accelerator fails; the last descriptor of its offer is its blob's."""

    description: ModelDescription
    engine: Engine


class Offer(Message, frozen=True):
    """Control → worker: a vetted model to load, warm and take between two ticks; the blob's descriptor comes beside.

    Attributes:
        twin: to be kept warm beside it; None where there is none, or no memory for it.
        degraded: why it serves in place of another; "" where it is what was meant.
        needs_mb: what the vet child saw it take; 0 where it was not seen.
        replay_mb: what frames of its trial may take, to be shown to the model before; 0 keeps none.
    """

    engine_key: str
    description: ModelDescription
    engine: Engine
    twin: Twin | None = None
    degraded: str = ""
    needs_mb: float = 0.0
    replay_mb: float = 0.0


class Replay(Message, frozen=True):
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
    engine: Engine
    needs_mb: float = 0.0
    always: bool = False


class AskFrame(Message, frozen=True):
    """Command line → control: the next frame of a pipeline; "" is the only one there is."""

    pipeline: str
    drawn: bool


class Show(Message, frozen=True):
    """Control → worker: answer whoever asked for a frame, whose connection comes beside.

    Attributes:
        pipeline: whose next frame it is.
        drawn: whether what was found is drawn on it.
        jpeg_bytes: the most that a JPEG of it may have; 0 for a PNG, which loses nothing.
    """

    pipeline: str
    drawn: bool
    jpeg_bytes: int = 0


class Shown(Message, frozen=True):
    """Worker → command line: a frame and its result; the descriptor of a PNG or JPEG comes beside."""

    pipeline: str
    ref: ModelRef
    tick: Tick


class NotShown(Message, frozen=True):
    """Control or worker → command line: why there is no frame."""

    why: str


class AskModels(Message, frozen=True):
    """Command line → control: one of the verbs of `requests.py`, and what it is about."""

    verb: str
    arguments: tuple[str, ...] = ()


class ToldModels(Message, frozen=True):
    """Control → command line: the answer as JSON text, or the sentence why there is none."""

    told: str = ""
    error: str = ""


class AskStatus(Message, frozen=True):
    """Command line → control: how the device is; answered by `ToldModels`."""


FromViewer = AskFrame | AskModels | AskStatus
ToViewer = Shown | NotShown | ToldModels


class Stop(Message, frozen=True):
    """Control → worker: end."""


class Taken(Message, frozen=True):
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


class FellBack(Message, frozen=True):
    """Worker → control: the accelerator of an engine failed; its warm twin serves now, or nothing where there is none."""

    engine_key: str
    why: str
    twin_serves: bool


class Refused(Message, frozen=True):
    """Worker → control: the offered model did not load; whatever served before still does."""

    engine_key: str
    ref: ModelRef
    why: str


class Took(msgspec.Struct, frozen=True):
    """How long turns took, milliseconds."""

    median_ms: float
    p95_ms: float


class Replayed(Message, frozen=True):
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
    now: Took | None = None
    before: Took | None = None


class Status(Message, frozen=True):
    """Worker → control: a pipeline's state changed."""

    pipeline: str
    state: PipelineState
    why: str


class Reported(Message, frozen=True):
    """Worker → control: a result that the pipeline's rules let out."""

    pipeline: str
    ref: ModelRef
    tick: Tick


class Settled(Message, frozen=True):
    """Worker → control: a pipeline's debounced answer changed."""

    pipeline: str
    answer: Answer


class Fault(Message, frozen=True):
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


class Counts(Message, frozen=True):
    """Worker → control, twice a second: what was counted in the last `covered_s` seconds, by pipeline.

    Attributes:
        messages_lost: since the worker's start, because control was slow to take them.
    """

    covered_s: float
    pipelines: dict[str, PipelineCounts]
    messages_lost: int


class Stopped(Message, frozen=True):
    """Worker → control: the last message; names the threads that did not end."""

    stuck: tuple[str, ...]


ToWorker = Plan | Offer | Replay | Show | Stop
FromWorker = Taken | FellBack | Refused | Replayed | Status | Reported | Settled | Fault | Counts | Stopped


class Listed(msgspec.Struct, frozen=True):
    """A file as it was when it was decided to read it; one that is another by then has not settled yet."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class Examine(Message, frozen=True):
    """Control or the command line → vet child: a model to describe, load, run and free.

    Attributes:
        path: the model's file, or the folder that holds it.
        overrides: what a person says instead of the manifest.
        engine: how it will be run.
        store_dir: the state directory whose store it is copied to before it is opened; "" opens the file itself.
        gates: whether to try all gates, instead of only whether it loads and runs.
        against: what the store has of the model that it is to replace; "" for none.
        slower_max: it may take so many times as long as that one.
        budget: instead of the manifest's.
        files: what must not have changed until it was copied.
        stop_at: digests of bundles that are not tried again.
        trusted: digests of bundles for which loading and running is enough.
    """

    path: str
    overrides: Overrides
    engine: Engine
    store_dir: str
    gates: bool = False
    against: str = ""
    slower_max: float = 4.0
    budget: BudgetSection | None = None
    files: tuple[Listed, ...] = ()
    stop_at: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()


class Gated(Message, frozen=True):
    """Vet child → asker: a gate was judged; the next one begins."""

    gate: Gate


class Examined(Message, frozen=True):
    """Vet child → asker: the model loads, runs and lets itself be freed. The descriptor of its file comes beside.

    Attributes:
        root: what was described, below the bundle's folder in the store; "" where nothing was stored.
        size_bytes: of all its files.
        verified: whether a digest or golden samples spoke for it.
        twin: what the CPU runs in its place, by which it was judged; its descriptor comes second. None where it has none.
        private_mb: what it took.
    """

    description: ModelDescription
    info: EngineInfo
    root: str = ""
    size_bytes: int = 0
    verified: bool = False
    twin: ModelDescription | None = None
    private_mb: float = 0.0


class ExamineFailed(Message, frozen=True):
    """Vet child → asker: the model is refused, in one sentence; `description` is what could be read of it anyway.

    Attributes:
        code: the reason in a word; "" where a gate said it.
        again: whether it is not the model's fault (the disk is full, the file still changes), so that it is tried again.
    """

    part: str
    why: str
    description: ModelDescription | None = None
    code: str = ""
    again: bool = False


FromVet = Gated | Examined | ExamineFailed


class Mend(Message, frozen=True):
    """Control → mending child: a step ("usb_reset", "port_power") that may bring a wedged accelerator back.

    Attributes:
        root: where /sys and /dev are.
    """

    step: str
    root: str = "/"


class Mended(Message, frozen=True):
    """Mending child → control: what came of it, in words."""

    told: str


class Probe(Message, frozen=True):
    """Control → probing child: a model, whose descriptor comes beside, to run once on its accelerator."""

    name: str
    engine: Engine


class Probed(Message, frozen=True):
    """Probing child → control: what ran the model, or `why` the accelerator does not take it."""

    accelerator: str
    why: str


class Closer(msgspec.Struct, frozen=True):
    """A model that looks closer at what another found; the last descriptor beside is its own."""

    description: ModelDescription
    engine: Engine


class Infer(Message, frozen=True):
    """Command line → one-shot child: run an examined model, whose descriptor comes beside, over inputs.

    Attributes:
        description: of the model.
        engine: how to run it.
        sources: what to read, each to its end.
        draw_dir: where pictures with results go; "" for none.
        track: whether boxes are followed from frame to frame.
        closer: what is to look at each object; None where nothing is.
    """

    description: ModelDescription
    engine: Engine
    sources: tuple[Source, ...]
    draw_dir: str
    track: Track = Track()
    closer: Closer | None = None


class Inferred(Message, frozen=True):
    """One-shot child → command line: the result of one frame."""

    tick: Tick
    drawn: str


class InputFailed(Message, frozen=True):
    """One-shot child → command line: an input, or one picture of it, gave no result; the others go on."""

    why: str


class InferDone(Message, frozen=True):
    """One-shot child → command line: all inputs are through."""

    info: EngineInfo


FromOneshot = Inferred | InputFailed | InferDone
