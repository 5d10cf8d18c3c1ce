"""Pictures with known results, judged as a pipeline would see them: decoded, preprocessed, run and read. In the vet child.

`pictures = ["cat.jpg"]` under [golden]; beside it lies `cat.json`, which `inferd infer --json MODEL cat.jpg > cat.json` wrote and
a person has looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from inferd.errors import FrameError, ModelError
from inferd.records import Array, Box, Label, Mask, Result, StageTimes, Value
from inferd.sources.files.images import decode
from inferd.store.formats.bounded_file import read_small
from inferd.vet.rehearsal import frame_of
from inferd.vet.side_by_side import ExaminedModel, LoadedModel
from inferd.wire.result import encode_inference, inference

RESULT_MAX_BYTES = 1 << 20
TOLERANCE = 0.05  # of a score or share; runtimes and kernels differ by less than 0.03 in our campaigns
SAME_PLACE = 0.75  # overlap (0..1) of two boxes that are one; a letterbox for a stretch moves boxes further
MOVED = 0.05  # of the picture's side, that a keypoint may move
SEEN = 0.3  # score of a keypoint that counts
NO_TIME = StageTimes(0, 0, 0, 0, 0, 0)


class ExpectedResult(msgspec.Struct, frozen=True):
    """A result as `inferd infer --json` prints it; what else stands there is not compared."""

    labels: tuple[Label, ...] | None = None
    boxes: tuple[Box, ...] | None = None
    keypoints: tuple[tuple[float, float, float], ...] | None = None
    mask: Mask | None = None
    embedding: tuple[float, ...] | None = None
    score: float | None = None
    values: tuple[Value, ...] | None = None


@dataclass(frozen=True, slots=True)
class GoldenPicture:
    """A picture (h, w, 3) uint8 BGR, and the result that the model gives for it."""

    name: str
    picture: Array
    expected: ExpectedResult


def read_pictures(model: ExaminedModel) -> list[GoldenPicture]:
    """Read the pictures that a manifest names; [] if it names none.

    Raises:
        ModelError: one cannot be read, or has no result beside it.
    """
    return [_read(model.folder / name) for name in model.description.manifest.golden.pictures or ()]


def results(pictures: Sequence[GoldenPicture], loaded: LoadedModel) -> list[ExpectedResult]:
    """Return what a model makes of each picture, in the form of an expected result.

    Raises:
        InferdError: a step refuses.
    """
    return [_as_printed(loaded.answer(frame_of(one.picture))[1]) for one in pictures]


def first_difference(
    pictures: Sequence[GoldenPicture], found: Sequence[ExpectedResult], tolerance: float | None, threshold: float
) -> str:
    """Return the first picture whose result is another than expected, and how; "" if there is none.

    Args:
        pictures: with the results that are expected.
        found: one for each.
        tolerance: of a score or share; None takes the usual.
        threshold: of the model's scores: boxes that lie within the tolerance of it may come and go.
    """
    allowed = TOLERANCE if tolerance is None else tolerance
    for one, result in zip(pictures, found, strict=True):
        if difference := next(_differences(one.expected, result, allowed, threshold), ""):
            return f"{one.name}: {difference}"
    return ""


def agreement(pictures: Sequence[GoldenPicture], found: Sequence[ExpectedResult]) -> float:
    """Return the share (0..1) of pictures in which the names agree: the best label, or the labels of all boxes."""
    return float(np.mean([_names(one.expected) == _names(result) for one, result in zip(pictures, found, strict=True)]))


def _names(result: ExpectedResult) -> list[str]:
    if result.boxes is not None:
        return sorted(box.label for box in result.boxes)
    return [label.label for label in result.labels or ()][:1]


def _read(file: Path) -> GoldenPicture:
    beside = file.with_suffix(".json")
    try:
        picture = decode(file)
        expected = msgspec.json.decode(read_small(beside, RESULT_MAX_BYTES), type=ExpectedResult)
    except FrameError as exc:
        raise ModelError(file.name, exc.message) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        remedy = f"write it with `inferd infer --json MODEL {file.name} > {beside.name}`"
        raise ModelError(beside.name, f"is no result that inferd printed ({exc}); {remedy}") from exc
    if expected == ExpectedResult():
        raise ModelError(beside.name, "holds no labels, boxes or other result to compare; use samples for the raw task")
    return GoldenPicture(file.name, picture, expected)


def _as_printed(result: Result) -> ExpectedResult:
    return msgspec.json.decode(encode_inference(inference("", "", "", result, NO_TIME)), type=ExpectedResult)


def _differences(expected: ExpectedResult, found: ExpectedResult, allowed: float, threshold: float) -> Iterator[str]:
    if expected.labels is not None:
        yield from _by_name(_scores(expected.labels), _scores(found.labels), allowed)
    if expected.boxes is not None:
        yield from _of_boxes(expected.boxes, found.boxes or (), allowed, threshold + allowed)
    if expected.mask is not None:
        yield from _by_name(expected.mask.labels, found.mask.labels if found.mask else {}, allowed)
    if expected.values is not None:
        yield from _by_name(_values(expected.values), _values(found.values), allowed, relative=True)
    if expected.score is not None:
        yield from _by_name({"score": expected.score}, {"score": found.score or 0.0}, allowed, relative=True)
    if expected.keypoints is not None:
        yield from _of_points(expected.keypoints, found.keypoints or ())
    if expected.embedding is not None:
        yield from _of_vectors(expected.embedding, found.embedding or (), allowed)


def _scores(labels: Sequence[Label] | None) -> dict[str, float]:
    return {label.label or str(label.id): label.score for label in labels or ()}


def _values(values: Sequence[Value] | None) -> dict[str, float]:
    return {value.name: value.value for value in values or ()}


def _by_name(
    expected: Mapping[str, float], found: Mapping[str, float], allowed: float, *, relative: bool = False
) -> Iterator[str]:
    """Compare numbers by name; one that is left out counts as 0."""
    for name in sorted({*expected, *found}, key=lambda one: -expected.get(one, 0.0)):
        wanted, got = expected.get(name, 0.0), found.get(name, 0.0)
        if not abs(wanted - got) <= allowed * (max(1.0, abs(wanted)) if relative else 1.0):
            yield f"{name} is {got:.3g}, expected {wanted:.3g}"


def _of_boxes(expected: Sequence[Box], found: Sequence[Box], allowed: float, sure: float) -> Iterator[str]:
    """Pair boxes of one label that lie on each other; those that are found or missing alone must be unsure ones."""
    left = list(found)
    for wanted in expected:
        same = [box for box in left if box.label == wanted.label and overlap(box, wanted) >= SAME_PLACE]
        if same:
            match = max(same, key=lambda box: overlap(box, wanted))
            left.remove(match)
            yield from _by_name({wanted.label: wanted.score}, {wanted.label: match.score}, allowed)
        elif wanted.score > sure:
            yield f"no {wanted.label} at {_place(wanted)}, expected with {wanted.score:.2f}"
    for box in left:
        if box.score > sure:
            yield f"{box.label} {box.score:.2f} at {_place(box)}, which is not expected"


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union (0..1)."""
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one.box, other.box
    shared = max(0.0, min(a1, c1) - max(a0, c0)) * max(0.0, min(b1, d1) - max(b0, d0))
    union = (a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0) - shared
    return shared / union if union > 0 else 0.0


def _place(box: Box) -> str:
    return "y0, x0, y1, x1 = " + ", ".join(f"{side:.2f}" for side in box.box)


def _of_points(
    expected: Sequence[tuple[float, float, float]], found: Sequence[tuple[float, float, float]]
) -> Iterator[str]:
    if len(expected) != len(found):
        yield f"{len(found)} keypoints, expected {len(expected)}"
        return
    for number, ((y, x, score), (is_y, is_x, _)) in enumerate(zip(expected, found, strict=True)):
        if score >= SEEN and not max(abs(y - is_y), abs(x - is_x)) <= MOVED:
            yield f"keypoint {number} is at {is_y:.2f}, {is_x:.2f}, expected {y:.2f}, {x:.2f}"


def _of_vectors(expected: Sequence[float], found: Sequence[float], allowed: float) -> Iterator[str]:
    if len(expected) != len(found):
        yield f"an embedding of {len(found)} values, expected {len(expected)}"
        return
    one, other = np.asarray(expected), np.asarray(found)
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    cosine = float(one @ other) / lengths if lengths else 0.0
    if not cosine >= 1 - allowed:
        yield f"its embedding has a cosine of {cosine:.3f} to the expected one"
