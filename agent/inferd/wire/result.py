"""One inference as JSON: the object that `inferd infer --json` prints, and the same with a header on the broker."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from inferd.records import Box, Label, LineCount, Mask, OutputTensor, Result, StageTimes, Value, ZoneCount
from inferd.wire.telemetry import LIMIT_BYTES, Header, join

_DIGITS = 6  # of scores and of coordinates 0..1: a millionth of the picture
_FLOAT32_DIGITS = 9  # significant decimal digits that tell every float32 from its neighbours


class TimingMs(msgspec.Struct, frozen=True):
    """What the inference cost by stage, in milliseconds; `total` is preprocess to decode."""

    capture: float
    preprocess: float
    invoke: float
    decode: float
    total: float


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said of one input. Keys are absent where the task has none.

    Attributes:
        input: the file (and index) it came from, or the name of the live source.
        model: the model's name.
        task: "classify", "detect", "raw", ...
        crop: the object of another pipeline that was looked at closer; boxes and points lie on the crop then.
        labels: best first.
        boxes: best first; y0, x0, y1, x1 normalised to the source picture; `closer` is what pipelines that look closer say.
        keypoints: y, x normalised to the source picture, and a score.
        mask: a segmentation's shape and the share of the picture each label covers.
        embedding: the vector.
        score: the anomaly score.
        values: what a regression gives, with names and units.
        zones: who is in each zone.
        lines: how many crossed each line.
        outputs: the raw output tensors.
        omitted: what was left out because the message would have exceeded its bound: "outputs[0].values", "boxes[40:]".
        timing_ms: what it cost.
    """

    input: str
    model: str
    task: str
    crop: Box | UnsetType = UNSET
    labels: Sequence[Label] | UnsetType = UNSET
    boxes: Sequence[Box] | UnsetType = UNSET
    keypoints: Sequence[tuple[float, float, float]] | UnsetType = UNSET
    mask: Mask | UnsetType = UNSET
    embedding: Sequence[float] | UnsetType | None = UNSET
    score: float | UnsetType = UNSET
    values: Sequence[Value] | UnsetType = UNSET
    zones: dict[str, ZoneCount] | UnsetType = UNSET
    lines: dict[str, LineCount] | UnsetType = UNSET
    outputs: Sequence[OutputTensor] | UnsetType = UNSET
    omitted: Sequence[str] | UnsetType = UNSET
    timing_ms: TimingMs


class ResultOrigin(msgspec.Struct, frozen=True):
    """What a result says on the broker only: its pipeline, the model's version, the frame's number in its source."""

    pipeline: str
    version: str
    frame: int


def inference(
    origin: str, model: str, task: str, result: Result, times: StageTimes, crop: Box | None = None
) -> Inference:
    """Return the object that is told of one inference.

    Args:
        origin: the file (and index) the frame came from, or the name of the live source.
        model: the model's name.
        task: the task's name.
        result: what the task read.
        times: what the turn cost.
        crop: what it was cut out for.
    """
    return Inference(
        input=origin,
        model=model,
        task=task,
        crop=UNSET if crop is None else _box(crop),
        labels=UNSET if result.labels is None else tuple(map(_label, result.labels)),
        boxes=UNSET if result.boxes is None else tuple(map(_box, result.boxes)),
        keypoints=UNSET if result.keypoints is None else tuple(map(_point, result.keypoints)),
        mask=UNSET if result.mask is None else _mask(result.mask),
        embedding=UNSET if result.embedding is None else tuple(map(_float32, result.embedding)),
        score=UNSET if result.score is None else result.score,
        values=UNSET if result.values is None else tuple(map(_value, result.values)),
        zones=UNSET if result.zones is None else result.zones,
        lines=UNSET if result.lines is None else result.lines,
        outputs=UNSET if result.outputs is None else result.outputs,
        timing_ms=_timing(times),
    )


def encode_inference(told: Inference) -> bytes:
    """Return what `inferd infer --json` prints, without a bound."""
    return _encoder.encode(told)


def encode_result(header: Header, whence: ResultOrigin, told: Inference) -> bytes:
    """Return the message for `<pipeline>/result`; what exceeds LIMIT_BYTES is left out and named in `omitted`."""
    start = join(_encoder.encode(header), _encoder.encode(whence))
    body = _encoder.encode(shrunk(told, LIMIT_BYTES - len(start)))
    return join(start, body)


def shrunk(told: Inference, limit_bytes: int) -> Inference:
    """Return the inference as it fits in `limit_bytes` of JSON.

    Raw values go first, the largest tensor first; then the embedding; then the worse half of the lists, repeatedly.
    """
    told = _without_values(told, limit_bytes)
    if _size(told) > limit_bytes and told.embedding:
        told = _leave_out(told, "embedding", embedding=None)
    for key in ("keypoints", "boxes", "labels"):
        while _size(told) > limit_bytes and len(rows := getattr(told, key) or ()) > 1:
            half = len(rows) // 2
            told = _leave_out(told, f"{key}[{half}:]", **{key: rows[:half]})
    return told


def _without_values(told: Inference, limit_bytes: int) -> Inference:
    for at, output in enumerate(told.outputs or ()):
        # Two bytes an element at the least: what cannot fit is not even encoded, for that alone could take a second.
        if output.values is not None and 2 * prod(output.shape) > limit_bytes:
            told = _without_output(told, at)
    while _size(told) > limit_bytes and (left := _with_values(told)):
        told = _without_output(told, max(left, key=left.__getitem__))
    return told


def _with_values(told: Inference) -> dict[int, int]:
    """Return the outputs that still have values, and how many of them."""
    return {at: prod(output.shape) for at, output in enumerate(told.outputs or ()) if output.values is not None}


def _without_output(told: Inference, at: int) -> Inference:
    outputs = list(told.outputs or ())
    outputs[at] = msgspec.structs.replace(outputs[at], values=None)
    return _leave_out(told, f"outputs[{at}].values", outputs=outputs)


def _leave_out(told: Inference, name: str, **changes: Any) -> Inference:  # Any: fields of several types
    stem = name.split("[", maxsplit=1)[0] + "["
    kept = [earlier for earlier in told.omitted or () if not (name.endswith(":]") and earlier.startswith(stem))]
    return msgspec.structs.replace(told, omitted=(*kept, name), **changes)


def _size(told: Inference) -> int:
    return len(_encoder.encode(told))


def _timing(times: StageTimes) -> TimingMs:
    stages = (times.capture, times.preprocess, times.invoke, times.decode, times.total)
    return TimingMs(*(round(stage_ns / 1e6, 4) for stage_ns in stages))


def _label(label: Label) -> Label:
    return Label(label.id, label.label, round(label.score, _DIGITS))


def _box(box: Box) -> Box:
    y0, x0, y1, x1 = (round(edge, _DIGITS) for edge in box.box)
    closer = {pipeline: _label(label) for pipeline, label in box.closer.items()} if box.closer else None
    return Box(box.id, box.label, round(box.score, _DIGITS), (y0, x0, y1, x1), box.track, closer)


def _point(point: tuple[float, float, float]) -> tuple[float, float, float]:
    y, x, score = (round(value, _DIGITS) for value in point)
    return y, x, score


def _mask(mask: Mask) -> Mask:
    return Mask(mask.shape, {label: round(share, _DIGITS) for label, share in mask.labels.items()})


def _value(value: Value) -> Value:
    return Value(value.name, _float32(value.value), value.unit)


def _float32(value: float) -> float:
    return float(f"{value:.{_FLOAT32_DIGITS}g}")


def _plain(value: object) -> list[float]:
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(f"{type(value).__name__} cannot stand in JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
