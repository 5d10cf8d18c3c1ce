"""The JSON messages on the broker. A message is a `Header` and a body, side by side in one flat object.

Keys never move: a new version may add keys, and only a new `SCHEMA_VERSION` may change or drop one. Units stand in the
key (`_ms`, `_s`, `_mb`, `_c`, `_pct`); a value that cannot be known is null, never 0. `result.py` holds the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from inferd.records import EngineInfo, LabelSummary, LineCount, ModelRef, PipelineState

SCHEMA_VERSION = 1
LIMIT_BYTES = 20_000
LONGEST_TEXT = 1_000  # characters of a sentence in a message that would be too large

WholeNumber = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]  # what JSON readers hold exactly
Number = WholeNumber | float | None
Figure = Number | Mapping[str, "Number | Latency"]
Fact = str | int | float | bool | None
Severity = Literal["info", "warning", "error"]
ModelState = Literal["active", "loading", "refused", "none"]
EventKind = Literal[
    "accelerator.back",
    "accelerator.failed",
    "accelerator.mending",
    "accelerator.wedged",
    "agent.started",
    "agent.stopping",
    "alert.cleared",
    "alert.raised",
    "clock.set",
    "clock.synchronised",
    "config.reloaded",
    "config.refused",
    "disk.failed",
    "disk.recovered",
    "link.denied",
    "link.limited",
    "link.lossy",
    "link.twin",
    "model.accepted",
    "model.active",
    "model.arrived",
    "model.committed",
    "model.doubtful",
    "model.forgotten",
    "model.kept",
    "model.pinned",
    "model.quarantined",
    "model.refused",
    "model.released",
    "model.retired",
    "model.rolled_back",
    "model.trial",
    "model.unpinned",
    "pipeline.degraded",
    "pipeline.ended",
    "pipeline.failed",
    "pipeline.running",
    "pipeline.sleeping",
    "source.failed",
    "worker.died",
    "worker.grown",
    "worker.hung",
    "worker.started",
    "worker.tight",
]


class Header(msgspec.Struct, frozen=True):
    """What every JSON message begins with.

    Attributes:
        schema_version: of these messages.
        device: the device's id, as in the topic.
        time: UTC, ISO 8601 with milliseconds; of a result, when its frame was captured.
        boot_id: changes with every start of the agent.
        seq: 1, 2, 3 ... over all messages of one `boot_id`; (device, boot_id, seq) names a message for good.
        unsynchronised: true while the device's clock is known to be wrong or not set yet, so that `time` cannot be trusted;
            absent otherwise.
    """

    schema_version: int
    device: str
    time: str
    boot_id: str
    seq: int
    unsynchronised: Literal[True] | UnsetType = UNSET


class RuntimeInfo(msgspec.Struct, frozen=True):
    """An installed runtime."""

    name: str
    version: str
    numpy_version: str


class PipelineInfo(msgspec.Struct, frozen=True):
    """What a pipeline is made of: the kind of its source, its task and the name of the model it follows."""

    source: str
    task: str | None
    model: str


class Info(msgspec.Struct, frozen=True):
    """Body of `info`.

    Attributes:
        version: of inferd.
        python: its version.
        machine: the processor's architecture, such as "aarch64".
        os: the distribution's own name for itself.
        board: what the firmware says; null where it says nothing.
        runtime: of the first engine that loaded; null before.
        metrics_interval_s: seconds between two `metrics`.
        pipelines: by name.
        unavailable: metric → why this device cannot tell it.
    """

    version: str
    python: str
    machine: str
    os: str
    board: str | None
    runtime: RuntimeInfo | None
    metrics_interval_s: float
    pipelines: dict[str, PipelineInfo]
    unavailable: dict[str, str]


class Latency(msgspec.Struct, frozen=True):
    """A histogram of milliseconds over one interval: percentiles for people, buckets for adding up.

    Bucket i holds values of (base^i, base^(i+1)] ms with base = 2^(2^-scale). Percentiles are null where count is 0.

    Attributes:
        count: values in this interval.
        sum, min, max: of them, exact.
        p50, p95, p99: so many percent of the values do not exceed it; within 0.54 % at scale 6.
        scale: how fine the buckets are; 6, less where the message would else exceed its bound.
        zero_count: values of zero, which have no bucket.
        offset: number i of the first bucket in `counts`.
        counts: values in bucket offset, offset + 1, ...; -n stands for n empty buckets.
    """

    count: WholeNumber
    sum: float
    min: float
    max: float
    p50: float | None
    p95: float | None
    p99: float | None
    scale: Annotated[int, msgspec.Meta(ge=-10, le=20)]
    zero_count: WholeNumber
    offset: Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)]
    counts: list[WholeNumber]


class Metrics(msgspec.Struct, frozen=True):
    """Body of `metrics`; `telemetry/metrics.py` holds the table of what stands in each group.

    Attributes:
        uptime_s: seconds since the agent started, which is when its counters were 0.
        interval_s: seconds that gauges and histograms cover.
        system, agent: of the device; of inferd as a whole.
        processes, pipelines: by process ("control", "worker", "seed"); by pipeline.
        power_source: the meter behind watts and joules, such as "pmic", or the model of a board; null where there is none.
    """

    uptime_s: float
    interval_s: float
    system: dict[str, Figure]
    agent: dict[str, Figure]
    processes: dict[str, dict[str, Figure]]
    pipelines: dict[str, dict[str, Figure]]
    power_source: str | None = None


class PipelineStatus(msgspec.Struct, frozen=True):
    """Body of `<pipeline>/status`: the state, the reason ("" where all is well), and since when (as `time`)."""

    status: PipelineState
    why: str
    since: str


class State(msgspec.Struct, frozen=True):
    """Body of `<pipeline>/state`: the settled answer.

    Attributes:
        label: the label there is most of (the first of equals); null where nothing is seen.
        count: how many things are seen.
        counts: how many of each label.
        occupancy: whether anything is seen.
        since: since when this is the answer (as `time`).
        zones: how many things are in each zone; absent where there are none.
        lines: how many things ever crossed each line, since the worker started; absent where there are none.
    """

    label: str | None
    count: int
    counts: dict[str, int]
    occupancy: bool
    since: str
    zones: dict[str, int] | UnsetType = UNSET
    lines: dict[str, LineCount] | UnsetType = UNSET


class Model(msgspec.Struct, frozen=True):
    """Body of `<pipeline>/model`.

    Attributes:
        name: the model's name; "" where there is none.
        version: "" where nothing says one.
        digest: SHA-256 over model, manifest and labels.
        labels_digest: SHA-256 of the labels, one a line; "" where there are none.
        task: "classify", "detect", "raw"; null where there is no model.
        state: "active", "loading", "refused" or "none".
        accelerator: "cpu", "edgetpu"; null where nothing is loaded, as all that follows it.
        degraded: whether it runs otherwise than it was meant to.
        reason: why it is degraded or refused; "" otherwise.
        runtime, runtime_version, numpy_version: what runs it.
        threads: CPU threads of one inference.
        nodes, nodes_delegated: operators in the plan; how many of them a delegate runs, null where it cannot be known.
        load_ms, warmup_ms: from file to ready tensors; the first inference.
        warning: one sentence where something is likely not as meant; "" otherwise.
    """

    name: str
    version: str = ""
    digest: str = ""
    labels_digest: str = ""
    task: str | None = None
    state: ModelState = "none"
    accelerator: str | None = None
    degraded: bool = False
    reason: str = ""
    runtime: str | None = None
    runtime_version: str | None = None
    numpy_version: str | None = None
    threads: int | None = None
    nodes: int | None = None
    nodes_delegated: int | None = None
    load_ms: float | None = None
    warmup_ms: float | None = None
    warning: str = ""


class Event(msgspec.Struct, frozen=True):
    """Body of `event`.

    Attributes:
        kind: what happened, "part.what".
        severity: "info", "warning" or "error".
        message: the sentence for people.
        pipeline: whose; null where it is the whole device's.
        model: name of the model it is about; null where it is about none.
        data: further facts by name, units in the name.
    """

    kind: EventKind
    severity: Severity
    message: str
    pipeline: str | None = None
    model: str | None = None
    data: dict[str, Fact] = {}


Body = Info | Metrics | PipelineStatus | State | Model | Event

_encoder = msgspec.json.Encoder()


def encode(header: Header, body: Body) -> bytes:
    """Return the message as JSON; sentences are cut where it would exceed LIMIT_BYTES."""
    message = join(_encoder.encode(header), _encoder.encode(body))
    return message if len(message) <= LIMIT_BYTES else join(_encoder.encode(header), _encoder.encode(_cut(body)))


def join(header: bytes, body: bytes) -> bytes:
    """Return two non-empty JSON objects as one."""
    return header[:-1] + b"," + body[1:]


def iso_time(wall_s: float) -> str:
    """Return seconds since the epoch as UTC in ISO 8601 with milliseconds."""
    moment = datetime.fromtimestamp(wall_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def labels_digest(labels: tuple[str, ...]) -> str:
    """Return the SHA-256 of labels, one a line; "" where there are none."""
    return sha256("\n".join(labels).encode()).hexdigest() if labels else ""


def settled_state(answer: LabelSummary, since: str) -> State:
    """Return the state that a pipeline's settled answer makes."""
    counts = {label: count for label, count in answer.counts.items() if count > 0}
    label = max(counts, key=counts.__getitem__) if counts else None
    zones, lines = answer.zones or UNSET, answer.lines or UNSET
    return State(label, sum(counts.values()), counts, bool(counts), since, zones, lines)


def active_model(ref: ModelRef, info: EngineInfo, task: str, labels: tuple[str, ...], degraded: str = "") -> Model:
    """Return what is told of a model that serves; `degraded` says why it runs otherwise than it was meant to."""
    return Model(
        name=ref.name,
        version=ref.version,
        digest=ref.digest,
        labels_digest=labels_digest(labels),
        task=task,
        state="active",
        accelerator=info.accelerator,
        degraded=bool(degraded),
        reason=degraded,
        runtime=info.runtime,
        runtime_version=info.runtime_version,
        numpy_version=info.numpy_version,
        threads=info.threads,
        nodes=info.nodes,
        nodes_delegated=info.nodes_delegated,
        load_ms=round(info.load_ms, 3),
        warmup_ms=round(info.warmup_ms, 3),
        warning=info.warning,
    )


def idle_model(state: ModelState, reason: str, name: str = "") -> Model:
    """Return what is told where no model serves (yet), and why."""
    return Model(name, state=state, reason=reason)


def _cut(body: Body) -> Body:
    texts = {key: value for key, value in msgspec.structs.asdict(body).items() if isinstance(value, str)}
    return msgspec.structs.replace(
        body, **{key: f"{text[:LONGEST_TEXT]}…" for key, text in texts.items() if len(text) > LONGEST_TEXT}
    )
