"""Collects what the worker counts and what the meters read, and makes the `metrics` message of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.config.telemetry import Alert
from inferd.health.alerts import watched
from inferd.histogram import HistogramData, merge, quantile
from inferd.meters.background import BackgroundReader, ReaderFactory
from inferd.meters.device_meters import DeviceMeter
from inferd.meters.power.meter import Energy
from inferd.meters.process import PSS_EVERY_S, ProcessMeter
from inferd.records import LabelSummary, Result
from inferd.system.clock import Clock
from inferd.tasks.rules.report import best_score
from inferd.telemetry.metrics import Readings, assemble, unavailable
from inferd.wire.telemetry import Metrics

RECENT_S = 10.0  # what "now" is for alerts: long enough for a percentile, short enough to be about now
MAX_RECENT = 60  # counts kept for that; the worker sends one a second
COUNTERS = (
    "frames_in",
    "frames_inferred",
    "results_reported",
    "results_suppressed",
    "source_restarts",
    "boxes_ignored",
)


@dataclass(slots=True)
class PipelineFigures:
    """What was counted of one pipeline: counters since the start, latencies since the last report."""

    counters: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    flawed: Counter[str] = field(default_factory=Counter)
    inferred_before: int = 0
    covered_s: float = 0.0
    latency: dict[str, HistogramData] = field(default_factory=dict)
    p95_s: float = 0.0
    result_ns: int = 0
    answer: LabelSummary | None = None
    score: float | None = None
    score_ns: int = 0
    recent: deque[tuple[int, float, ipc.PipelineCounts]] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))

    def add(self, counts: ipc.PipelineCounts, covered_s: float, now_ns: int) -> None:
        """Add what was counted in `covered_s` seconds."""
        self.recent.append((now_ns, covered_s, counts))
        if counts.frames_inferred or not self.result_ns:
            self.result_ns = now_ns
        self.covered_s += covered_s
        for name in COUNTERS:
            self.counters[name] += getattr(counts, name)
        self.dropped.update(counts.frames_dropped)
        self.flawed.update(counts.frames_flawed)
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
        return {
            **counters,
            "frames_dropped": self.dropped,
            "frames_flawed": self.flawed,
            "fps": fps,
            "latency_ms": latency,
        }

    def seen(self, alerts: Sequence[Alert]) -> dict[str, float | None]:
        """Return the counts that alerts watch; None before the first settled answer."""
        answer = self.answer
        values: dict[str, float | None] = {}
        for alert in alerts:
            if alert.when == "label_count":
                counts = answer.counts if answer else {}
                count = counts.get(alert.label, 0) if alert.label else sum(counts.values())
            elif alert.when == "zone_count":
                count = answer.zones.get(alert.zone, 0) if answer else 0
            else:
                continue
            values[watched(alert)] = float(count) if answer else None
        return values

    def now(self, now_ns: int) -> dict[str, float | None]:
        """Return what the pipeline does at present, for alerts; None where nothing was counted of late."""
        recent = [(covered_s, counts) for at_ns, covered_s, counts in self.recent if now_ns - at_ns <= RECENT_S * 1e9]
        covered_s = sum(covered_s for covered_s, _ in recent)
        total, came, inferred = HistogramData(), 0, 0
        for _, counts in recent:
            total = merge(total, counts.latency.get("total", HistogramData()))
            inferred += counts.frames_inferred
            came += counts.frames_inferred + sum(counts.frames_dropped.values())
        return {
            "latency_p95_ms": quantile(total, 0.95),
            "fps": inferred / covered_s if covered_s else None,
            "drop_pct": 100 * (came - inferred) / came if came else None,
            "result_age_s": (now_ns - self.result_ns) / 1e9 if self.result_ns else None,
            "score": self.score if self.score_ns and now_ns - self.score_ns <= RECENT_S * 1e9 else None,
        }


class MetricsReporter:
    """Owned by control's main thread."""

    def __init__(
        self,
        clock: Clock,
        metrics: settings.MetricsConfig = settings.MetricsConfig(),  # noqa: B008 - frozen
        folder: Path = Path(),
        root: Path = Path("/"),
        slowly: ReaderFactory = BackgroundReader,
    ) -> None:
        """Start to measure.

        Args:
            clock: times everything.
            metrics: which meters are on.
            folder: where state is kept, on the disk whose room counts.
            root: the folder that holds proc/ and sys/.
            slowly: how slow meters are read.
        """
        self._clock = clock
        self._metrics = metrics
        self._make_device = partial(DeviceMeter, clock, folder=folder, root=root, slowly=slowly)
        self._device = self._make_device(metrics)
        self._inferred_before = 0
        self.alerts_raised = 0
        self.alerts_active = 0
        self._started_ns = self._reported_ns = clock.monotonic_ns()
        self._pipelines: dict[str, PipelineFigures] = {}
        self._agent: Counter[str] = Counter(worker_restarts=0, worker_messages_lost=0)
        self._processes: dict[str, ProcessMeter] = {}
        self._lost_by_this_worker = 0

    def watch(self, process: str, pid: int) -> None:
        """Measure this process as `process` from now on."""
        self.unwatch(process)
        self._processes[process] = ProcessMeter(pid, self._clock, pss_every_s=PSS_EVERY_S if self._metrics.pss else 0)

    def configure(self, metrics: settings.MetricsConfig) -> None:
        """Use these meters from now on; those that are as they were go on counting."""
        before, self._metrics = self._metrics, metrics
        if measuring(before) != measuring(metrics):
            self._device.close()
            self._device = self._make_device(metrics)

    def tick(self) -> None:
        """Look at what has to be looked at every second; called more often, it does nothing."""
        self._device.tick()

    def unwatch(self, process: str) -> None:
        """Measure `process` no longer."""
        if (before := self._processes.pop(process, None)) is not None:
            before.close()

    def add(self, counts: ipc.Counts) -> None:
        """Add what the worker counted since the last time."""
        for name, counted in counts.pipelines.items():
            self._pipelines.setdefault(name, PipelineFigures()).add(
                counted, counts.covered_s, self._clock.monotonic_ns()
            )
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

    def settled(self, pipeline: str, answer: LabelSummary | None) -> None:
        """Keep what a pipeline sees, for alerts."""
        self._pipelines.setdefault(pipeline, PipelineFigures()).answer = answer

    def answer(self, pipeline: str) -> LabelSummary | None:
        """Return the settled answer of a pipeline; None before the first."""
        return self._pipelines[pipeline].answer if pipeline in self._pipelines else None

    def result(self, pipeline: str, result: Result) -> None:
        """Keep the best score of a result that was sent, for alerts."""
        figures = self._pipelines.setdefault(pipeline, PipelineFigures())
        figures.score, figures.score_ns = best_score(result), self._clock.monotonic_ns()

    def forget(self, pipeline: str) -> None:
        """Forget a pipeline that is gone."""
        if (gone := self._pipelines.pop(pipeline, None)) is not None:
            self._inferred_before -= gone.counters["frames_inferred"]

    def p95_s(self, pipeline: str) -> float:
        """Return the p95 of a whole turn in the last second in which there was one, 0.0 before the first."""
        return self._pipelines[pipeline].p95_s if pipeline in self._pipelines else 0.0

    @property
    def now_s(self) -> float:
        """Seconds on the monotonic clock."""
        return self._clock.monotonic_ns() / 1e9

    @property
    def basis(self) -> str:
        """Whether power is "measured" or "estimated"; "" where it is neither."""
        return self._device.basis

    def due(self, interval_s: float) -> bool:
        """Whether it is time for the next report."""
        return self._clock.monotonic_ns() - self._reported_ns >= interval_s * 1e9

    def report(self, messages_dropped: int) -> Metrics:
        """Return the figures since the last report, and begin a new interval."""
        now_ns = self._clock.monotonic_ns()
        interval_s = (now_ns - self._reported_ns) / 1e9
        self._reported_ns = now_ns
        system = self._device.sample()
        return assemble(
            (now_ns - self._started_ns) / 1e9,
            interval_s,
            system=system,
            agent={
                **self._agent,
                "messages_dropped": messages_dropped,
                "alerts_raised": self.alerts_raised,
                "alerts_active": self.alerts_active,
                **self._energy_by_result(interval_s),
            },
            processes={name: meter.sample() for name, meter in self._processes.items()},
            pipelines={name: figures.readings() for name, figures in self._pipelines.items()},
            power_source=source_of(self._device.energy),
        )

    def sightings(
        self, degraded: Collection[str], alerts: Sequence[Alert], sleeping: Collection[str] = ()
    ) -> dict[tuple[str, str], float | None]:
        """Return the values that alerts watch, by name and pipeline ("" for the device).

        Args:
            degraded: pipelines that run otherwise than they were meant to.
            alerts: what is configured.
            sleeping: pipelines that do not run, of which nothing is returned.
        """
        now_ns = self._clock.monotonic_ns()
        device = {(name, ""): value for name, value in self._device.glance().items()}
        pipelines = {
            (name, pipeline): value
            for pipeline, figures in self._pipelines.items()
            if pipeline not in sleeping
            for name, value in {
                **figures.now(now_ns),
                **figures.seen(alerts),
                "degraded": float(pipeline in degraded),
            }.items()
        }
        fps = sum(value or 0.0 for (name, _), value in pipelines.items() if name == "fps")
        watts = device.get(("power_w", ""))
        energy_mj = 1e3 * watts / fps if watts is not None and fps else None
        return {**device, **pipelines, ("inference_energy_mj", ""): energy_mj}

    def _energy_by_result(self, interval_s: float) -> Readings:
        """Return what each result of this interval cost; energy of a part of it stands for the whole."""
        inferred = sum(figures.counters["frames_inferred"] for figures in self._pipelines.values())
        results, self._inferred_before = inferred - self._inferred_before, inferred
        energy = self._device.energy
        if not isinstance(energy, Energy) or results <= 0:
            return {}
        whole = 1e3 * interval_s / energy.covered_s / results
        above = energy.above_idle_j
        return {
            "inference_energy_mj": {energy.basis: energy.energy_j * whole},
            "inference_energy_above_idle_mj": {energy.basis: above * whole} if above is not None else None,
        }

    def unavailable(self) -> dict[str, str]:
        """Return metric → why this device cannot tell it."""
        return unavailable(self._device.unavailable())

    def close(self) -> None:
        """Close all meters. Idempotent."""
        for process in list(self._processes):
            self.unwatch(process)
        self._device.close()


def measuring(metrics: settings.MetricsConfig) -> settings.MetricsConfig:
    """Return the settings without those that only say when metrics are sent."""
    return msgspec.structs.replace(metrics, interval_s=0.0, metered=False)


def source_of(energy: object) -> str | None:
    """Return the meter that measured the energy; None where there is none."""
    return energy.source if isinstance(energy, Energy) else None
