"""The frozen records that rooms and processes hand each other.

Those that cross a process boundary are `msgspec.Struct`s (msgpack between control and worker, JSON on the broker); those
that hold arrays never leave the worker. This module imports no array library: control reads records without numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]  # shape and dtype are stated by the docstring of whoever takes or gives it
else:
    Array = Any  # numpy is not imported on this floor

ColorOrder = Literal["rgb", "bgr", "gray"]
Stage = Literal["capture", "preprocess", "invoke", "decode", "total", "frame_age"]
STAGES: tuple[Stage, ...] = ("capture", "preprocess", "invoke", "decode", "total", "frame_age")
Flaw = Literal["black", "over_exposed", "blurred", "frozen", "missing_values", "impossible_values"]
FLAWS: tuple[Flaw, ...] = ("black", "over_exposed", "blurred", "frozen", "missing_values", "impossible_values")
Lane = Literal["alert", "event", "metrics", "result"]
PipelineState = Literal["waiting", "running", "degraded", "failed", "ended", "sleeping"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One reading of a source, stamped when it was captured.

    Attributes:
        data: a picture (h, w, 3) or (h, w) uint8 in `color_order`; or a window of a signal (samples, channels) float32,
            NaN where a value is missing; or a mapping of input name to array, one sample with its batch axis, for tensors
            that go to the model as they are.
        color_order: how the channels of a picture lie; OpenCV's sources give "bgr".
        seq: 0, 1, 2 ... within this opening of the source.
        opening: which opening of the source it is; whoever opens sources counts them. State is carried over within one only.
        taken_ns: monotonic clock at capture, nanoseconds.
        taken_at: wall clock at capture, seconds since the epoch (1970-something on a board without a clock).
        capture_ns: what reading and decoding this frame cost, nanoseconds.
        origin: the file (and index) this frame came from; empty for live sources.
        crop: the object that it was cut out for, where it is a part of another pipeline's frame.
        answer: who waits for what is seen in it, None where it gives no result; for any thread, and called once.
        position_s: where this frame stands in a recording, seconds from its start; None for live sources.
        rate_hz: samples a second of a signal; 0.0 for pictures and where nobody knows it.
    """

    data: Array | Mapping[str, Array]
    seq: int
    taken_ns: int
    taken_at: float
    capture_ns: int = 0
    color_order: ColorOrder = "bgr"
    origin: str = ""
    position_s: float | None = None
    crop: Box | None = None
    answer: Callable[[Result | None], None] | None = None
    rate_hz: float = 0.0
    opening: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model would like its source to give; 0 where it does not care.

    Attributes:
        width, height: of its pictures, pixels.
        rate_hz: samples a second of its signal.
        window: samples in a frame of it.
        hop: samples from the start of a window to the start of the next.
    """

    width: int = 0
    height: int = 0
    rate_hz: float = 0.0
    window: int = 0
    hop: int = 0


@dataclass(frozen=True, slots=True)
class Geometry:
    """How normalised model coordinates become normalised coordinates of the source picture: `v * scale + offset`."""

    scale_y: float = 1.0
    offset_y: float = 0.0
    scale_x: float = 1.0
    offset_x: float = 0.0


class TensorSpec(msgspec.Struct, frozen=True):
    """One input or output tensor as the runtime tells it.

    Attributes:
        name: the tensor's name in the file.
        shape: its present shape; () for a scalar or a shape known only after an invoke.
        dtype: numpy's name: "uint8", "float32", "int64", "bool", "complex64", ...
        shape_signature: as `shape`, with -1 where the model leaves a dimension open.
        scale: real = (q - zero_point) * scale; 0.0 where the tensor is not quantised. Per-tensor only.
        zero_point: see `scale`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    shape_signature: tuple[int, ...] = ()
    scale: float = 0.0
    zero_point: int = 0

    @property
    def quantized(self) -> bool:
        """Whether values of this tensor stand for real numbers through scale and zero point."""
        return self.scale != 0.0


class Label(msgspec.Struct, frozen=True):
    """A class and how sure the model is of it (score 0..1)."""

    id: int
    label: str
    score: float


class Box(msgspec.Struct, frozen=True, omit_defaults=True):
    """A found object.

    Attributes:
        id: of its class.
        label: the class.
        score: 0..1.
        box: y0, x0, y1, x1 normalised to the source picture.
        track: its number while it is followed.
        closer: what pipelines that look closer say it is, by their names.
    """

    id: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    track: int | None = None
    closer: dict[str, Label] | None = None


class ZoneCount(msgspec.Struct, frozen=True):
    """Who is in a zone: how many, of which labels; how many ever entered and left; and how long the first has been there."""

    count: int
    labels: dict[str, int]
    entered: int
    left: int
    longest_s: float


class LineCount(msgspec.Struct, frozen=True, rename={"out_": "out", "in_": "in"}):
    """How many ever crossed a line, by direction."""

    in_: int
    out_: int


class Mask(msgspec.Struct, frozen=True):
    """A segmentation: the mask's shape (h, w) and the share of the picture each label covers (0..1)."""

    shape: tuple[int, int]
    labels: dict[str, float]


class Value(msgspec.Struct, frozen=True):
    """A number that a regression gives; `unit` is "" where nothing names it."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a segmentation looks like, for drawing; never leaves the worker.

    Attributes:
        classes: (h, w) uint16 on the model's input, the class of each cell; 65535 is not painted.
        names: of the classes, by number.
        geometry: how the picture was laid out on it.
    """

    classes: Array
    names: tuple[str, ...]
    geometry: Geometry


class LabelSummary(msgspec.Struct, frozen=True):
    """What a pipeline says in a word: how many of each label (the top label once), in each zone, and over each line."""

    counts: dict[str, int]
    zones: dict[str, int] = {}
    lines: dict[str, LineCount] = {}


class OutputTensor(msgspec.Struct, frozen=True):
    """An output tensor as it came, for the raw task; `values` is nested lists, None where it was too large to carry."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: Any  # nested lists of numbers, as deep as the tensor has dimensions


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task read out of a model's outputs; a field is None where the task has none."""

    labels: tuple[Label, ...] | None = None
    boxes: tuple[Box, ...] | None = None
    keypoints: tuple[tuple[float, float, float], ...] | None = None
    mask: Mask | None = None
    embedding: tuple[float, ...] | None = None
    score: float | None = None
    values: tuple[Value, ...] | None = None
    zones: dict[str, ZoneCount] | None = None
    lines: dict[str, LineCount] | None = None
    outputs: tuple[OutputTensor, ...] | None = None


class StageTimes(msgspec.Struct, frozen=True):
    """What one turn of the loop cost, by stage, in nanoseconds; `total` is preprocess to decode."""

    capture: int
    preprocess: int
    invoke: int
    decode: int
    total: int
    frame_age: int


class Tick(msgspec.Struct, frozen=True):
    """One turn of the loop: the result, of which frame, and what it cost."""

    result: Result
    times: StageTimes
    seq: int
    taken_at: float
    origin: str = ""
    crop: Box | None = None


class ModelRef(msgspec.Struct, frozen=True):
    """Which model: its name, its version ("" where nothing says one) and the SHA-256 over its bundle."""

    name: str
    version: str
    digest: str

    @property
    def title(self) -> str:
        """The name a person reads: name, version where there is one, and the start of the digest."""
        version = f" v{self.version}" if self.version else ""
        return f"{self.name}{version} ({self.digest[:8]})"


class EngineInfo(msgspec.Struct, frozen=True):
    """What is told of a loaded engine.

    Attributes:
        runtime: "ai-edge-litert", "tflite-runtime", "fake", ...
        runtime_version: the installed distribution's version.
        numpy_version: the array library the runtime was loaded with.
        accelerator: "cpu", "edgetpu", ...
        nodes: operators in the execution plan, before delegation where the runtime tells.
        nodes_delegated: how many of them a delegate (XNNPACK included) runs; None where it cannot be known.
        threads: CPU threads of one invoke.
        load_ms: file to allocated tensors.
        warmup_ms: the first invoke, never a sample.
        warning: one sentence where something is likely not as meant; "" where nothing is.
    """

    runtime: str
    runtime_version: str
    numpy_version: str
    accelerator: str
    nodes: int
    nodes_delegated: int | None
    threads: int
    load_ms: float
    warmup_ms: float
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    warning: str = ""


class Message(msgspec.Struct, frozen=True):
    """What is handed to a link.

    Attributes:
        topic: without prefix and device, such as "metrics" or "cam/result"; the whole one where it is `absolute`.
        payload: what it says.
        qos: 0 or 1.
        retain: whether the broker keeps it for those who subscribe later.
        lane: where it waits on the disk until the broker has it; None where it may be lost.
        absolute: whether `topic` is the whole topic: another's discovery, a response where it was asked for.
        correlation: what an MQTT 5 response repeats of its request.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    lane: Lane | None = None
    absolute: bool = False
    correlation: bytes = b""


class Incoming(msgspec.Struct, frozen=True):
    """What a link hears: `topic` is the whole one; the last two are MQTT 5's."""

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str = ""
    correlation: bytes = b""


LinkEventKind = Literal["link.twin", "link.lossy", "link.limited", "link.denied"]


class LinkEvent(msgspec.Struct, frozen=True):
    """An event of a link.

    Attributes:
        kind: "link.twin" another device has our id, "link.lossy" messages are lost, "link.limited" the broker ends the
            connection over something, which is left out, "link.denied" it denies a publish or a subscription.
        why: the sentence for people.
    """

    kind: LinkEventKind
    why: str


class Unavailable(msgspec.Struct, frozen=True):
    """Why a meter has no value; on the wire that value is null, never 0."""

    why: str
