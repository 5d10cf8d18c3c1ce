"""Runs the digits model in children: on each engine and delegate, and on all cores at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from inferd.bundled_files import bundled
from inferd.records import Unavailable
from inferd.selftest.report import EngineTiming, SustainedLoad
from inferd.system.clock import Clock
from inferd.system.processes.parent_death import BoundProgram

GRACE_S = 120.0  # for imports on a slow board, and for a child that hangs
LOOK_S = 0.5
NANO = 1e9

Glance = Callable[[], dict[str, float | None]]


class MeasuringChild:
    """A child that runs the digits model for a while. Owned by whoever started it; `result` ends it."""

    def __init__(self, delegate: str, threads: int, seconds: float) -> None:
        """Start it."""
        model = str(bundled("digits") / "model.tflite")
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `result`
        self._limit_s = seconds + GRACE_S
        command = [sys.executable, "-P", "-m", "inferd.selftest.measure", model, delegate, str(threads), str(seconds)]
        self._process = BoundProgram(command, stdout=self._said, stderr=subprocess.DEVNULL)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.ended() is None

    def result(self) -> dict[str, Any]:  # Any: figures of several types, as JSON
        """Wait for its end and return its figures, or {"why": ...}."""
        ended = self._process.wait(self._limit_s)
        self._process.stop_all(0)
        with self._said:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip().splitlines()
        if said and said[-1].startswith("{"):
            told: dict[str, Any] = json.loads(said[-1])
            return told
        return {"why": f"the process that tried it {ended.sentence}" if ended else "it did not answer in time"}


def time_engines(seconds: float, not_timed: Mapping[str, str]) -> list[EngineTiming]:
    """Return how the digits model runs alone, with one thread and with all cores.

    Args:
        seconds: for each.
        not_timed: accelerators, and why it is not run on each.
    """
    cores = available_cores()
    timed = [_time("cpu, 1 thread", "", 1, seconds)]
    if cores > 1:
        timed.append(_time(f"cpu, {cores} threads", "", cores, seconds))
    onnx = "no model for it comes with inferd; `inferd infer MODEL.onnx PICTURE` tries yours"
    return [
        *timed,
        *(EngineTiming(name, why=why) for name, why in not_timed.items()),
        EngineTiming("onnxruntime", why=onnx),
    ]


def load_all(seconds: float, glance: Glance, clock: Clock) -> SustainedLoad:
    """Keep all cores busy for so long, and return what that did; `glance` is asked twice a second."""
    before = glance()
    children = [MeasuringChild("", 1, seconds) for _ in range(available_cores())]
    began_ns = clock.monotonic_ns()
    hottest = before.get("temperature_c")
    while any(child.running for child in children) and clock.monotonic_ns() - began_ns < (seconds + GRACE_S) * NANO:
        clock.pause(LOOK_S)
        now = glance().get("temperature_c")
        hottest = max((one for one in (hottest, now) if one is not None), default=None)
    told = [figures for figures in (child.result() for child in children) if "why" not in figures]
    return SustainedLoad(
        seconds=seconds,
        before_c=before.get("temperature_c"),
        hottest_c=hottest,
        first_ms=_mean(told, "first_ms"),
        last_ms=_mean(told, "last_ms"),
    )


def available_cores() -> int:
    """Return how many cores we may use."""
    return len(os.sched_getaffinity(0))


def processor(cpuinfo: str) -> str:
    """Return what the kernel calls the processor; "" where it does not."""
    names = [
        line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith(("model name", "Model"))
    ]
    return names[0] if names else ""


def read_text(file: Path) -> str:
    """Return the text of a small file, "" where there is none."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def number(reading: object) -> float | str:
    """Return a reading, or the sentence why there is none."""
    if isinstance(reading, Unavailable):
        return f"none: {reading.why}"
    return float(reading) if isinstance(reading, int | float) else "none: not enough time has passed"


def _time(what: str, delegate: str, threads: int, seconds: float) -> EngineTiming:
    told = MeasuringChild(delegate, threads, seconds).result()
    known = {name: told[name] for name in EngineTiming.__struct_fields__ if name in told}
    return EngineTiming(what, **known)


def _mean(told: list[dict[str, Any]], key: str) -> float | None:
    return sum(one[key] for one in told) / len(told) if told else None
