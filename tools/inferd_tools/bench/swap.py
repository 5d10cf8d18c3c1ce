"""The rows of `make bench` that tell what a new model costs the one that serves: while it is vetted, and when it is swapped.

The agent follows its drop folder, at a rate that the model can keep; the same model is dropped again under a new version.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ai_edge_litert.interpreter import Interpreter

SWAPS = 3
NORMAL = 120  # frames
AFTER = 60  # frames after a swap, in which its trial ends
ALLOCATIONS = 5
SPARE_MS = 5.0
IMPACT = 1.3
Row = tuple[str, str]

CASES = (
    ("classify/mobilenet_v2_1.0_224_quant.tflite", 30, ""),
    ("classify/mobilenet_v1_0.25_224_float.tflite", 30, "overrides = {mean = [127.5], std = [127.5]}"),
    ("detect/coco_ssd_mobilenet_v1_quant.tflite", 10, ""),
)
CONFIG = """
state_dir = "%s"
[mqtt]
enabled = false
[models]
look_every_s = 0.1
settle_s = 0.2
trial_results = 20
[[pipeline]]
name = "cam"
source = {kind = "synthetic"}
pace = {mode = "fixed", fps = %d}
report = {max_per_s = 0}
engine = {threads = 1}
%s
"""


@dataclass(frozen=True, slots=True)
class PrintedResult:
    """A result as the agent printed it: of which version, of which frame, how long its turn took, when it was read."""

    version: str
    frame: int
    turn_ms: float
    read_s: float


@dataclass
class SwapTimes:
    """What was seen of one model.

    Attributes:
        normal: turns while nothing is vetted, milliseconds.
        vetting: turns while the next one is vetted.
        gaps_ms: how much later than a frame's time the first result after each swap came.
        lost: frames without a result, from each drop to some time after its swap.
        frames: results in that time.
        lost_before: frames without a result before the first drop, for each with one: what a busy machine costs anyway.
        paused_ms: what the loop itself told of each swap.
    """

    normal: list[float] = field(default_factory=list)
    vetting: list[float] = field(default_factory=list)
    gaps_ms: list[float] = field(default_factory=list)
    lost: int = 0
    frames: int = 0
    lost_before: float = 0.0
    paused_ms: list[float] = field(default_factory=list)


def swap_rows(models: Path) -> Iterator[Row]:
    """Yield the rows of each model that is there."""
    for path, fps, options in CASES:
        if (models / path).is_file():
            yield from _rows(models / path, _watch(models / path, fps, options))


def _rows(model: Path, seen: SwapTimes) -> Iterator[Row]:
    allocate_ms = statistics.median(_allocate_ms(model) for _ in range(ALLOCATIONS))
    pause_ms, gap_ms = max(seen.paused_ms), max(seen.gaps_ms)
    impact = _p95(seen.vetting) / _p95(seen.normal)
    yield f"swap of {model.stem}: loop paused (ms, worst of {SWAPS})", f"{pause_ms:.2f}"
    goal = f"goal {allocate_ms + SPARE_MS:.0f}: one allocate and {SPARE_MS:.0f}"
    yield f"  results late (ms, median and worst; {goal})", f"{statistics.median(seen.gaps_ms):.1f} {gap_ms:.1f}"
    anyway = seen.lost_before * seen.frames
    yield (
        f"  frames lost of {seen.frames}, and at the rate before the first drop (goal 0 more)",
        f"{seen.lost} {anyway:.0f}",
    )
    yield f"  p95 of a turn while it is vetted over p95 before (goal {IMPACT})", f"{impact:.2f}"
    yield "  p95 before, while vetted (ms)", f"{_p95(seen.normal):.1f} {_p95(seen.vetting):.1f}"


def _watch(model: Path, fps: int, options: str) -> SwapTimes:
    """Run the agent on a model, and swap it for itself a few times."""
    seen = SwapTimes()
    with tempfile.TemporaryDirectory() as folder:
        state_dir = Path(folder, "state")
        drop = state_dir / "models"
        drop.mkdir(parents=True)
        shutil.copy(model, drop / "m.tflite")
        _name(drop, 1)
        log = Path(folder, "log")
        with printing_agent(Path(folder, "inferd.toml"), CONFIG % (state_dir, fps, options), log) as lines:
            while _next(lines).version != "1":
                pass
            _take(lines, AFTER)
            before = _take(lines, NORMAL)
            seen.normal += [one.turn_ms for one in before]
            seen.lost_before = _lost(before) / len(before)
            for number in range(2, SWAPS + 2):
                _swap(drop, number, lines, seen, fps)
        seen.paused_ms = [float(ms) for ms in re.findall(r"active: m v[2-9].* paused for ([\d.]+) ms", log.read_text())]
    return seen


def _swap(drop: Path, number: int, lines: IO[str], seen: SwapTimes, fps: int) -> None:
    """Drop the next version and note what the one that serves feels of it."""
    before = [_next(lines)]
    _name(drop, number)
    while before[-1].version != str(number):
        before.append(_next(lines))
    after = _take(lines, AFTER)
    seen.vetting += [one.turn_ms for one in before[:-1]]
    seen.normal += [one.turn_ms for one in after[AFTER // 2 :]]
    seen.gaps_ms.append(max(0.0, (before[-1].read_s - before[-2].read_s - 1 / fps) * 1e3))
    seen.lost += _lost(before + after)
    seen.frames += len(before) + len(after)


def _name(drop: Path, number: int) -> None:
    """Give the dropped model a version, at once, so that it is another model."""
    (drop / ".m.toml.part").write_text(f'[model]\nname = "m"\nversion = "{number}"\n')
    (drop / ".m.toml.part").rename(drop / "m.toml")


@contextmanager
def printing_agent(file: Path, config: str, log: Path) -> Iterator[IO[str]]:
    """Run the agent; give the lines it prints, one a result."""
    file.write_text(config)
    command = [sys.executable, "-m", "inferd", "run", "--print", "--config", str(file)]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as agent,  # noqa: S603 - our own
    ):
        assert agent.stdout is not None  # noqa: S101 - it is piped
        try:
            yield agent.stdout
        finally:
            agent.terminate()


def _next(lines: IO[str]) -> PrintedResult:
    told = json.loads(lines.readline())
    return PrintedResult(told["version"], told["frame"], told["timing_ms"]["total"], time.monotonic())


def _lost(results: list[PrintedResult]) -> int:
    return results[-1].frame - results[0].frame + 1 - len(results)


def _take(lines: IO[str], count: int) -> list[PrintedResult]:
    return [_next(lines) for _ in range(count)]


def _allocate_ms(model: Path) -> float:
    began = time.perf_counter()
    Interpreter(str(model), num_threads=1).allocate_tensors()
    return (time.perf_counter() - began) * 1e3


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
