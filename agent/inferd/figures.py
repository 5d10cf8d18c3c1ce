"""Collects what the worker counts and what the meters read, and makes the `metrics` message of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from inferd import ipc
from inferd.histogram import HistogramData, merge, quantile
from inferd.meters.process import ProcessMeter
from inferd.meters.system import SystemMeter
from inferd.system.clock import Clock
from inferd.telemetry.metrics import Readings, assemble, unavailable
from inferd.wire.telemetry import Metrics

COUNTERS = ("frames_in", "frames_inferred", "results_reported", "results_suppressed", "source_restarts")


@dataclass(slots=True)
class PipelineFigures:
    """What was counted of one pipeline: counters since the start, latencies since the last report."""

    counters: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    inferred_before: int = 0
    covered_s: float = 0.0
    latency: dict[str, HistogramData] = field(default_factory=dict)
    p95_s: float = 0.0

    def add(self, counts: ipc.PipelineCounts, covered_s: float) -> None:
        """Add what was counted in `covered_s` seconds."""
        self.covered_s += covered_s
        for name in COUNTERS:
            self.counters[name] += getattr(counts, name)
        self.dropped.update(counts.frames_dropped)
        for stage, data in counts.latency.items():
            self.latency[stage] = merge(self.latency.get(stage, HistogramData()), data)
        if (p95_ms := quantile(counts.latency["total"], 0.95)) is not None:
            self.p95_s = p95_ms / 1e3

    def readings(self) -> Readings:
        """Return the figures by name, and begin a new interval."""
        inferred = self.counters["frames_inferred"]
        fps = (inferred - self.inferred_before) / self.covered_s if self.covered_s else None
        self.inferred_before, self.covered_s = inferred, 0.0
        latency, self.latency = self.latency, {}
        counters = {name: self.counters[name] for name in (*COUNTERS, "engine_swaps")}
        return {**counters, "frames_dropped": self.dropped, "fps": fps, "latency_ms": latency}


class Figures:
    """Owned by control's main thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_ns = self._reported_ns = clock.monotonic_ns()
        self._pipelines: dict[str, PipelineFigures] = {}
        self._agent: Counter[str] = Counter(worker_restarts=0, worker_messages_lost=0)
        self._system = SystemMeter(clock)
        self._processes: dict[str, ProcessMeter] = {}
        self._lost_by_this_worker = 0

    def watch(self, process: str, pid: int) -> None:
        """Measure this process as `process` from now on."""
        self.unwatch(process)
        self._processes[process] = ProcessMeter(pid, self._clock)

    def unwatch(self, process: str) -> None:
        """Measure `process` no longer."""
        if (before := self._processes.pop(process, None)) is not None:
            before.close()

    def add(self, counts: ipc.Counts) -> None:
        """Add what the worker counted since the last time."""
        for name, counted in counts.pipelines.items():
            self._pipelines.setdefault(name, PipelineFigures()).add(counted, counts.covered_s)
        self._agent["worker_messages_lost"] += counts.messages_lost - self._lost_by_this_worker
        self._lost_by_this_worker = counts.messages_lost

    def engine_taken(self, pipeline: str, *, swapped: bool) -> None:
        """Count an engine that serves from now on, if it took the place of another."""
        self._pipelines.setdefault(pipeline, PipelineFigures()).counters["engine_swaps"] += swapped

    def worker_ended(self) -> None:
        """Count a worker that has to be started again."""
        self.unwatch("worker")
        self._agent["worker_restarts"] += 1
        self._lost_by_this_worker = 0

    def forget(self, pipeline: str) -> None:
        """Forget a pipeline that is gone."""
        self._pipelines.pop(pipeline, None)

    def p95_s(self, pipeline: str) -> float:
        """Return the p95 of a whole turn in the last second in which there was one, 0.0 before the first."""
        return self._pipelines[pipeline].p95_s if pipeline in self._pipelines else 0.0

    def due(self, interval_s: float) -> bool:
        """Whether it is time for the next report."""
        return self._clock.monotonic_ns() - self._reported_ns >= interval_s * 1e9

    def report(self, messages_dropped: int) -> Metrics:
        """Return the figures since the last report, and begin a new interval."""
        now_ns = self._clock.monotonic_ns()
        interval_s = (now_ns - self._reported_ns) / 1e9
        self._reported_ns = now_ns
        return assemble(
            (now_ns - self._started_ns) / 1e9,
            interval_s,
            system=self._system.sample(),
            agent={**self._agent, "messages_dropped": messages_dropped},
            processes={name: meter.sample() for name, meter in self._processes.items()},
            pipelines={name: figures.readings() for name, figures in self._pipelines.items()},
        )

    def unavailable(self) -> dict[str, str]:
        """Return metric → why this device cannot tell it."""
        return unavailable(self._system.sample())

    def close(self) -> None:
        """Let go of all meters. Twice is fine."""
        for process in list(self._processes):
            self.unwatch(process)
        self._system.close()
