"""The rows of `make bench` that tell what each stage costs, by kind of model: one thread, a 640 x 480 frame, the defaults."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inferd.config import settings
from inferd.pipeline import build_steps, tick
from inferd.records import Frame, Result
from inferd.runtime.litert import LiteRt
from inferd.sources.files.images import Images
from inferd.sources.synthetic import Synthetic
from inferd.store.description.describe import describe
from inferd.system.clock import SystemClock
from inferd.tasks.drawing.draw import draw, png
from inferd_tools.bench.parts import BOXES, boxes

WHOLE = (0.0, 0.0, 1.0, 1.0)
TURNS = 60
Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """A model and what is said of it."""

    path: str
    overrides: settings.Overrides = field(default_factory=settings.Overrides)
    sample: str = ""


UNIT = settings.Overrides(mean=(0.0,), std=(255.0,))
CASES = (
    Case("classify/mobilenet_v2_1.0_224_quant.tflite"),
    Case("classify/vww_96_float.tflite", UNIT),
    Case("detect/coco_ssd_mobilenet_v1_quant.tflite"),
    Case("detect/face_detection_short_range.tflite"),
    Case("pose_segment/deeplabv3_mnv2_dm05_pascal_quant.tflite"),
    Case("pose_segment/movenet_lightning_ptq.tflite"),
    Case("embed/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite", settings.Overrides(task="embed")),
    Case("audio_sensor/ad01_int8.tflite", settings.Overrides(task="anomaly"), "tensors"),
    Case("audio_sensor/yamnet_audio_classifier.tflite", settings.Overrides(), "tensors"),
)


def stage_rows(models: Path, pictures: Path) -> Iterator[Row]:
    """Yield a row for each model that is there: its stages in microseconds, medians; then capture and drawing."""
    for case in CASES:
        if (models / case.path).is_file():
            yield f"  {Path(case.path).stem}", _stages(models / case.path, case)
    yield (
        "capture: a synthetic frame",
        f"{_median_us(_reading(Synthetic(settings.SyntheticSource(), SystemClock()))):.0f}",
    )
    photo = pictures / "cat_720p.jpg"
    if photo.is_file():
        opened = [Images(settings.ImagesSource(path=str(photo)), SystemClock()) for _ in range(TURNS + 1)]
        yield f"capture: decoding {photo.name}", f"{_median_us(lambda: opened.pop().read(1)):.0f}"
    canvas, result = np.zeros((480, 640, 3), np.uint8), Result(boxes=boxes(0.0))
    yield f"a snapshot: drawing {BOXES} boxes, PNG", f"{_median_us(lambda: png(draw(canvas, result))):.0f}"


def _stages(model: Path, case: Case) -> str:
    """Return preprocess, invoke and decode."""
    clock = SystemClock()
    description = describe(model, case.overrides, None)
    engine = LiteRt(str(model), settings.EngineConfig(threads=1), clock, model.stem)
    steps = build_steps(description, engine, WHOLE)
    frame = Synthetic(settings.SyntheticSource(), clock).read(1)
    if case.sample:
        numbers = np.random.default_rng(0)
        tensors = {spec.name: numbers.random(spec.shape, np.float32) for spec in engine.info.inputs}
        frame = Frame(tensors, 0, 0, 0.0)
    times = [tick(frame, steps, clock.monotonic_ns).times for _ in range(TURNS)]
    engine.close()
    stages = ([time.preprocess for time in times], [time.invoke for time in times], [time.decode for time in times])
    return " ".join(f"{statistics.median(each) / 1e3:.0f}" for each in stages)


def _reading(source: Synthetic) -> Callable[[], object]:
    return lambda: source.read(1)


def _median_us(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(TURNS):
        started = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - started)
    return statistics.median(times) / 1e3
