"""What a device on a metered line says every hour, and how much it may say in a day. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from inferd.histogram import coarsen, to_runs
from inferd.telemetry.metrics import histogram
from inferd.wire.telemetry import Figure, Latency, Metrics

EVERY_S = 3600.0
DAY_S = 86_400.0
DAY_BYTES = 48_000  # of payload; the rest to 50 kB is for the topics, 35 bytes of each message
MOST_BYTES = 1_500  # 36 kB a day, which leaves 12 kB for some thirty events
LEAST_BYTES = 700  # a roll-up with less room than that says too little to be worth it
HEADER_BYTES = 250
KEPT_STAGES = ("total", "frame_age")
COARSEST = 0  # scale: buckets from each power of two to the next

_encoder = msgspec.json.Encoder()


class DayBudget:
    """What the roll-ups of a day may take: what alerts and other events leave, in equal parts."""

    def __init__(self, limit_bytes: int = DAY_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._others: deque[tuple[float, int]] = deque(maxlen=10_000)

    def spend(self, size_bytes: int, now_s: float) -> None:
        """Count what was sent beside roll-ups."""
        self._others.append((now_s, size_bytes))

    def rollup_bytes(self, now_s: float) -> int:
        """Return how long the next roll-up may be."""
        while self._others and now_s - self._others[0][0] >= DAY_S:
            self._others.popleft()
        left_bytes = self._limit_bytes - sum(size for _, size in self._others)
        return int(min(MOST_BYTES, left_bytes / (DAY_S / EVERY_S)))


def thin(body: Metrics, limit_bytes: int) -> Metrics | None:
    """Return the body within so many bytes: without what is null, then with wider buckets, then with fewer groups.

    Counters and percentiles are kept longest. None where not even they fit.
    """
    thinned = msgspec.structs.replace(
        body,
        system=_told(body.system),
        agent=_told(body.agent),
        processes={name: _told(figures) for name, figures in body.processes.items()},
        pipelines={name: _told(figures) for name, figures in body.pipelines.items()},
    )
    steps = (_kept_stages, *(_wider,) * 6, _without_buckets, _without_processes, _without_system, _counters_only)
    for step in steps:
        if len(_encoder.encode(thinned)) + HEADER_BYTES <= limit_bytes:
            return thinned
        thinned = step(thinned)
    return thinned if len(_encoder.encode(thinned)) + HEADER_BYTES <= limit_bytes else None


def _told(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """Return figures without those that are null, or all 0 by a label."""
    told: dict[str, Figure] = {}
    for name, figure in figures.items():
        inner = {key: one for key, one in figure.items() if one} if isinstance(figure, Mapping) else figure
        if inner is not None and inner != {}:
            told[name] = inner
    return told


def _kept_stages(body: Metrics) -> Metrics:
    return _each_stage(body, lambda stage, told: told if stage in KEPT_STAGES else None)


def _wider(body: Metrics) -> Metrics:
    return _each_stage(body, lambda _, told: _coarser(told))


def _without_buckets(body: Metrics) -> Metrics:
    return _each_stage(body, lambda _, told: msgspec.structs.replace(told, offset=0, counts=[]))


def _without_processes(body: Metrics) -> Metrics:
    return msgspec.structs.replace(body, processes={})


def _without_system(body: Metrics) -> Metrics:
    kept = ("temperature_c", "throttled_s", "memory_available_mb", "disk_free_mb", "power_w")
    return msgspec.structs.replace(body, system={name: body.system[name] for name in kept if name in body.system})


def _counters_only(body: Metrics) -> Metrics:
    kept = ("frames_inferred", "frames_dropped")
    return msgspec.structs.replace(
        body,
        pipelines={
            name: {key: figures[key] for key in kept if key in figures} for name, figures in body.pipelines.items()
        },
    )


def _coarser(told: Latency) -> Latency:
    if told.scale <= COARSEST:
        return told
    coarse = coarsen(histogram(told))
    offset, counts = to_runs(coarse)
    return msgspec.structs.replace(told, scale=coarse.scale, offset=offset, counts=counts)


def _each_stage(body: Metrics, change: Callable[[str, Latency], Latency | None]) -> Metrics:
    pipelines: dict[str, dict[str, Figure]] = {}
    for name, figures in body.pipelines.items():
        stages = figures.get("latency_ms")
        if not isinstance(stages, Mapping):
            pipelines[name] = figures
            continue
        changed = {
            stage: new
            for stage, told in stages.items()
            if isinstance(told, Latency) and (new := change(stage, told)) is not None
        }
        pipelines[name] = {**figures, "latency_ms": changed}
    return msgspec.structs.replace(body, pipelines=pipelines)
