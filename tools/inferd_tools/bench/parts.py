"""The rows of `make bench` that tell what each part on a frame's way costs by itself, models left out.

Filters, features, checks, decoders, following: one thread, made frames and outputs. Each in microseconds (median), and as a
multiple of a yardstick that is timed in turn with it, OpenCV's linear resize of a 640 x 480 frame to 224 x 224: what every
model of pictures pays. Microseconds are this machine's at this moment; the multiples can be compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, count

import cv2
import msgspec
import numpy as np

from inferd import ipc
from inferd.config import settings
from inferd.errors import ModelError
from inferd.plugins import TASKS, Task, WatchesInput, find
from inferd.preprocess.denoise import picture_filter, signal_filter
from inferd.preprocess.quality import Quality
from inferd.preprocess.signal.features import computer
from inferd.preprocess.signal.pca import projection
from inferd.records import Array, Box, Frame, Geometry, Result, TensorSpec
from inferd.runtime.fake import Fake
from inferd.sources.decoding.resample import Resampler
from inferd.system.clock import SystemClock
from inferd.tasks.rules.tracks_zones_lines import TrackingRules
from inferd.vet.child import describe_fake
from inferd.wire.manifest import (
    InputSection,
    Manifest,
    ModelDescription,
    ModelSection,
    OutputSection,
    PcaSection,
    PictureDenoise,
    QualitySection,
    SignalSection,
)

TURNS = 60
BOXES = 10
CLASSES = 20
Row = tuple[str, str]
Part = tuple[str, Callable[[], object]]

NUMBERS = np.random.default_rng(0)
PICTURE = NUMBERS.integers(0, 256, (480, 640, 3), np.uint8)
SECOND = NUMBERS.standard_normal((16000, 1))
SPECTRUM = SignalSection(rate_hz=16000, frame=480, step=320, mels=40, low_hz=20, high_hz=4000, coefficients=10)
BANDS = SignalSection(rate_hz=16000, bands_hz=(0, 1000, 2000, 4000, 8000))
WAKE = SignalSection(rate_hz=16000, window=800, hop=480)


def part_rows() -> Iterator[Row]:
    """Yield a row for each part: microseconds, and multiples of the yardstick."""
    resized = np.empty((224, 224, 3), np.uint8)
    yardstick = partial(cv2.resize, PICTURE, (224, 224), resized, interpolation=cv2.INTER_LINEAR)
    for what, call in chain(_filters(), _features(), _checks(), _decoders(), _following()):
        yield f"  {what}", _measured(call, yardstick)


def _measured(call: Callable[[], object], yardstick: Callable[[], object]) -> str:
    pairs = [(_timed_ns(call), _timed_ns(yardstick)) for _ in range(TURNS + 1)][1:]
    multiple = statistics.median(cost / measure for cost, measure in pairs)
    return f"{statistics.median(cost for cost, _ in pairs) / 1e3:.0f} {multiple:.2f}"


def _timed_ns(call: Callable[[], object]) -> int:
    started = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - started


def _filters() -> Iterator[Part]:
    cleaned = np.empty_like(PICTURE)
    kinds: tuple[PictureDenoise, ...] = ("median", "gaussian", "bilateral")
    for kind in kinds:
        picture = picture_filter(InputSection(denoise=kind))
        assert picture is not None  # noqa: S101 - a filter was named
        yield f"noise of a picture, {kind}", partial(picture, PICTURE, cleaned)
    for section in (
        SignalSection(denoise="median"),
        SignalSection(denoise="gaussian"),
        SignalSection(denoise="band_pass", rate_hz=16000, band_hz=(300, 3400)),
        SignalSection(denoise="spectral_gate"),
    ):
        signal = signal_filter(section)
        assert signal is not None  # noqa: S101 - as above
        yield f"noise of a second of sound, {section.denoise}", partial(signal, SECOND)
    studio = np.zeros((1323, 1), np.float32)
    yield "30 ms of sound from 44,100 to 16,000 Hz", partial(Resampler(44100, 16000, 1).add, studio)


def _features() -> Iterator[Part]:
    for section, samples, of in (
        (msgspec.structs.replace(SPECTRUM, features=("spectrum",)), SECOND, "a second of sound"),
        (msgspec.structs.replace(SPECTRUM, features=("mel",)), SECOND, "a second of sound"),
        (msgspec.structs.replace(SPECTRUM, features=("mfcc",)), SECOND, "a second of sound"),
        (msgspec.structs.replace(WAKE, features=("microfrontend",)), SECOND[:800], "30 ms of sound"),
        (msgspec.structs.replace(BANDS, features=("bands",)), SECOND[:3000].reshape(-1, 3), "1000 x 3 readings"),
        (msgspec.structs.replace(BANDS, features=("statistics",)), SECOND[:3000].reshape(-1, 3), "1000 x 3 readings"),
        (msgspec.structs.replace(BANDS, features=("peaks",)), SECOND[:3000].reshape(-1, 3), "1000 x 3 readings"),
    ):
        (kind,) = section.features or ("samples",)
        try:
            yield f"{kind} of {of}", partial(computer(section), samples)
        except ModelError:  # the package of the micro frontend is an extra
            continue
    rows = tuple(map(tuple, NUMBERS.standard_normal((32, 490)).tolist()))
    project = projection(PcaSection(components=rows))
    assert project is not None  # noqa: S101 - components are said
    yield "32 principal components of 490 features", partial(project, NUMBERS.standard_normal(490))


def _checks() -> Iterator[Part]:
    for what, section in (
        ("brightness of a picture", QualitySection(dark=0.01, bright=0.99)),
        ("sharpness of a picture", QualitySection(sharp=0.1)),
        ("whether a picture is frozen", QualitySection(frozen_s=10.0)),
    ):
        yield what, partial(Quality(section).judge, Frame(PICTURE, 0, 0, 0.0))
    readings = Frame(SECOND[:3000].reshape(-1, 3).astype(np.float32), 0, 0, 0.0)
    yield (
        "missing and impossible values among 1000 x 3 readings",
        partial(Quality(QualitySection(missing=0.1, low=(-99.0,), high=(99.0,))).judge, readings),
    )


def _decoders() -> Iterator[Part]:
    scores = NUMBERS.integers(0, 256, (1, 1001), np.uint8)
    yield "classify, 1001 classes", _decoder(OutputSection(), scores)
    yield f"detect, {BOXES} boxes", _decoder(OutputSection(decoder="tflite_detection_postprocess"), *_found())
    yield "detect, BlazeFace, one face", _decoder(OutputSection(decoder="blazeface"), *_face(), side=128)
    yield "detect, yolov8, 2100 places", _decoder(OutputSection(decoder="yolov8"), _yolo(), side=320)
    classes = NUMBERS.integers(0, CLASSES, (1, 513, 513), np.int64)
    yield "segment, 513 x 513", _decoder(OutputSection(), classes, task="segment", side=513)
    points = NUMBERS.random((1, 1, 17, 3), np.float32)
    yield "pose, MoveNet, 17 points", _decoder(OutputSection(decoder="movenet"), points, task="pose", side=192)
    vector = NUMBERS.random((1, 1024), np.float32)
    yield "embed, 1024 numbers", _decoder(OutputSection(normalize=True), vector, task="embed")
    bands = NUMBERS.random((1, 640), np.float32)
    yield "anomaly, 640 numbers in and out", _decoder(OutputSection(limit=1.0), bands, task="anomaly", given=bands)
    reference = tuple(NUMBERS.random(1024).tolist())
    yield "anomaly, distance of 1024 numbers", _decoder(OutputSection(reference=reference), vector, task="anomaly")


def _decoder(
    section: OutputSection, *outputs: Array, task: str = "", side: int = 224, given: Array | None = None
) -> Callable[[], object]:
    """Return what reads these outputs of a model that takes a square picture of this side, or the array `given`."""
    name = task or ("detect" if section.decoder else "classify")
    taken = np.zeros((1, side, side, 3), np.uint8) if given is None else given
    info = msgspec.structs.replace(
        Fake("", settings.EngineConfig(kind="fake"), SystemClock(), "bench").info,
        inputs=(_spec("input", taken),),
        outputs=tuple(_spec(f"output:{number}" if number else "output", each) for number, each in enumerate(outputs)),
    )
    reading: Task = find("task", TASKS, name)(_description(section), info)

    def read() -> Result:
        if isinstance(reading, WatchesInput):
            reading.watch([taken])
        return reading.decode(outputs, Geometry())

    return read


def _description(section: OutputSection) -> ModelDescription:
    fake = describe_fake(ipc.Examine("bench", settings.Overrides(), settings.EngineConfig(kind="fake"), ""))
    labels = tuple(f"class {number}" for number in range(CLASSES)) if section.decoder != "blazeface" else ("face",)
    return msgspec.structs.replace(fake, manifest=Manifest(model=ModelSection(), output=section), labels=labels)


def _spec(name: str, array: Array) -> TensorSpec:
    return TensorSpec(name, array.shape, array.dtype.name, array.shape)


def _found() -> Sequence[Array]:
    """Return what TFLite_Detection_PostProcess gives for these boxes."""
    places = np.array([[box.box for box in boxes(0.0)]], np.float32)
    rest = [np.zeros((1, BOXES)), np.full((1, BOXES), 0.9), np.array([BOXES])]
    return [places, *(each.astype(np.float32) for each in rest)]


def _face() -> Sequence[Array]:
    scores = np.full((1, 896, 1), -9.0, np.float32)
    scores[0, 272] = 5.0
    return [np.full((1, 896, 16), 30.0, np.float32), scores]


def _yolo() -> Array:
    """Return a head of 20 classes, (1, 24, 2100), in which four places see something."""
    head = np.zeros((1, 4 + CLASSES, 2100), np.float32)
    head[0, :4] = 0.1
    for number, place in enumerate((100, 700, 1300, 1900)):
        head[0, :2, place] = 0.2 * (number + 1)
        head[0, 4 + number, place] = 0.9
    return head


def _following() -> Iterator[Part]:
    zone = settings.ZoneConfig(name="zone", points=((0.0, 0.0), (0.0, 1.0), (0.5, 0.5)))
    line = settings.LineConfig(name="line", start=(0.0, 0.5), end=(1.0, 0.5))
    for what, follower in (
        (f"tracking {BOXES} boxes", TrackingRules(settings.TrackConfig(enabled=True))),
        (f"tracking {BOXES} boxes, a zone", TrackingRules(settings.TrackConfig(enabled=True), (zone,))),
        (
            f"tracking {BOXES} boxes, a zone, a line",
            TrackingRules(settings.TrackConfig(enabled=True), (zone,), (line,)),
        ),
    ):
        yield what, partial(_follow, follower, count())


def _follow(follower: TrackingRules, moves: Iterator[int]) -> Result:
    step = next(moves)
    return follower.follow(Result(boxes=boxes(step / 1000)), step * 100_000_000)


def boxes(shift: float) -> tuple[Box, ...]:
    """Return boxes along a diagonal, moved down by `shift`."""
    places = ((n / BOXES + shift, n / BOXES) for n in range(BOXES))
    return tuple(Box(0, "person", 0.9, (y, x, y + 0.1, x + 0.1)) for y, x in places)
