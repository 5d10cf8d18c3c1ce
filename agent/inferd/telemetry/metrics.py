"""THE metric table. The `metrics` message and the tables of docs/mqtt.md are made from it; nothing is told beside it.

Counters are cumulative since the agent started, so that a lost message loses no count. Gauges and histograms cover the
interval of their message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from inferd.histogram import HistogramData, coarsen, from_runs, quantile, to_runs
from inferd.records import FLAWS, STAGES, Unavailable
from inferd.wire.telemetry import LIMIT_BYTES, Figure, Latency, Metrics, Number

Kind = Literal["gauge", "counter", "histogram"]
Group = Literal["system", "agent", "processes", "pipelines"]
Label = Literal["process", "pipeline", "stage", "cause", "flaw", "reason", "basis"]
Value = int | float | HistogramData | Unavailable | None
Reading = Value | Mapping[str, Value]
Readings = Mapping[str, Reading]

GROUP_LABELS: Mapping[Group, tuple[Label, ...]] = {
    "system": (),
    "agent": (),
    "processes": ("process",),
    "pipelines": ("pipeline",),
}
CAUSES = (
    "superseded",
    "stale",
    "unreadable",
    "poor_quality",
    "unchanged",
    "preprocess_error",
    "engine_error",
    "decode_error",
    "nonfinite_output",
)
REASONS = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
BASES = ("measured", "estimated")
LABEL_VALUES: Mapping[Label, tuple[str, ...]] = {
    "stage": STAGES,
    "cause": CAUSES,
    "flaw": FLAWS,
    "reason": REASONS,
    "basis": BASES,
}
_DIGITS = 4  # after the point: a tenth of a microsecond in ms
_HEADER_BYTES = 400  # room for the header, whose longest part is a device id of 64 characters


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table.

    Attributes:
        group: the key of the message under which it stands.
        name: its own key, the unit at its end.
        unit: as people write it; "" for plain counts.
        kind: gauge (now, or over the interval), counter (since the agent started), histogram (over the interval).
        help: one sentence.
        by: a further label with a fixed set of values, whose figures stand one level deeper; None for none.
    """

    group: Group
    name: str
    unit: str
    kind: Kind
    help: str
    by: Label | None = None

    @property
    def labels(self) -> tuple[Label, ...]:
        """What tells several figures of this metric apart."""
        return GROUP_LABELS[self.group] + ((self.by,) if self.by else ())

    @property
    def path(self) -> str:
        """Where it stands in the message, with <labels>."""
        return ".".join((self.group, *(f"<{label}>" for label in GROUP_LABELS[self.group]), self.name)) + (
            f".<{self.by}>" if self.by else ""
        )


METRICS = (
    Metric("system", "uptime_s", "s", "gauge", "Since the device was switched on."),
    Metric("system", "cpu_pct", "%", "gauge", "Processor time used by everything, of all cores together."),
    Metric("system", "memory_total_mb", "MB", "gauge", "Memory that the kernel manages."),
    Metric("system", "memory_available_mb", "MB", "gauge", "Memory that can still be had without swapping."),
    Metric("system", "temperature_c", "°C", "gauge", "Temperature of the processor."),
    Metric("system", "clock_mhz", "MHz", "gauge", "Clock of the processor's fastest core."),
    Metric("system", "fan_rpm", "1/min", "gauge", "How fast the fan turns."),
    Metric("system", "fan_pct", "%", "gauge", "How far the fan is turned up."),
    Metric("system", "throttled_s", "s", "gauge", "How long of the interval something slowed the processor down."),
    Metric(
        "system", "throttled_by_s", "s", "gauge", "How long of the interval, by reason; null: not told.", by="reason"
    ),
    Metric("system", "power_w", "W", "gauge", "What the device drew, by a meter or by an estimate.", by="basis"),
    Metric(
        "system", "power_error_w", "W", "gauge", "An estimate of power_w may be wrong by so much; null for a meter."
    ),
    Metric("system", "disk_total_mb", "MB", "gauge", "Size of the disk that holds the state."),
    Metric("system", "disk_free_mb", "MB", "gauge", "Room left on it."),
    Metric("system", "disk_read_mb", "MB", "counter", "Read from all disks, by everybody."),
    Metric("system", "disk_written_mb", "MB", "counter", "Written to all disks, by everybody, in whole sectors."),
    Metric("system", "network_received_mb", "MB", "counter", "Received over all network interfaces, by everybody."),
    Metric("system", "network_sent_mb", "MB", "counter", "Sent over all network interfaces, by everybody."),
    Metric("agent", "worker_restarts", "", "counter", "Workers started in place of one that died or hung."),
    Metric(
        "agent", "worker_messages_lost", "", "counter", "Messages that control was too slow to take from the worker."
    ),
    Metric("agent", "messages_dropped", "", "counter", "Messages for the broker that the bound of the link has cost."),
    Metric("agent", "inference_energy_mj", "mJ", "gauge", "What the whole device drew for each result.", by="basis"),
    Metric(
        "agent", "inference_energy_above_idle_mj", "mJ", "gauge", "The same, without what it draws idle.", by="basis"
    ),
    Metric("agent", "alerts_raised", "", "counter", "Alerts that began."),
    Metric("agent", "alerts_active", "", "gauge", "Alerts that are not over."),
    Metric("processes", "cpu_pct", "%", "gauge", "Processor time used, of one core: two busy cores are 200."),
    Metric("processes", "rss_mb", "MB", "gauge", "Memory mapped now, shared pages in full."),
    Metric(
        "processes", "pss_mb", "MB", "gauge", "Memory mapped now, shared pages by their share; measured less often."
    ),
    Metric("pipelines", "frames_in", "", "counter", "Frames that the source gave."),
    Metric("pipelines", "frames_inferred", "", "counter", "Frames that became a result."),
    Metric("pipelines", "frames_dropped", "", "counter", "Frames that gave no result, by cause.", by="cause"),
    Metric(
        "pipelines", "frames_flawed", "", "counter", "Frames too poor to trust, kept from the model or not.", by="flaw"
    ),
    Metric("pipelines", "results_reported", "", "counter", "Results that the report rules let out."),
    Metric("pipelines", "results_suppressed", "", "counter", "Results that the report rules held back."),
    Metric("pipelines", "engine_swaps", "", "counter", "Engines that took the place of another between two ticks."),
    Metric("pipelines", "boxes_ignored", "", "counter", "Boxes that a mask with use = ignore dropped."),
    Metric("pipelines", "source_restarts", "", "counter", "Times the source was opened again after a fault."),
    Metric("pipelines", "fps", "1/s", "gauge", "Results a second, reported or not."),
    Metric("pipelines", "latency_ms", "ms", "histogram", "What a frame cost, by stage.", by="stage"),
)

_encoder = msgspec.json.Encoder()


def assemble(
    uptime_s: float,
    interval_s: float,
    *,
    system: Readings,
    agent: Readings,
    processes: Mapping[str, Readings],
    pipelines: Mapping[str, Readings],
    power_source: str | None = None,
) -> Metrics:
    """Return the body of a `metrics` message: every metric of the table, null where there is no reading.

    Counters by cause that were not given are 0. Where the message would exceed its bound, buckets are widened, the
    histogram with most of them first; its `scale` says so and percentiles stay as they were.

    Args:
        uptime_s: since the agent started.
        interval_s: since the message before.
        system: of the device, by name.
        agent: of inferd as a whole, by name.
        processes: by process, then by name.
        pipelines: by pipeline, then by name.
        power_source: the meter behind watts and joules.

    Raises:
        AssertionError: a name, a label's value or a kind of reading that the table does not have.
    """
    return fitted(
        Metrics(
            uptime_s=round(uptime_s, _DIGITS),
            interval_s=round(interval_s, _DIGITS),
            system=_figures("system", system),
            agent=_figures("agent", agent),
            processes={name: _figures("processes", readings) for name, readings in processes.items()},
            pipelines={name: _figures("pipelines", readings) for name, readings in pipelines.items()},
            power_source=power_source,
        )
    )


def unavailable(readings: Readings) -> dict[str, str]:
    """Return metric → why, for those that a meter could not tell; `info` carries it."""
    return {name: reading.why for name, reading in readings.items() if isinstance(reading, Unavailable)}


def latency(data: HistogramData) -> Latency:
    """Return a histogram as it stands in the message."""
    offset, counts = to_runs(data)
    p50, p95, p99 = (_rounded(quantile(data, q)) for q in (0.50, 0.95, 0.99))
    low, high, total = (round(value, _DIGITS) for value in (data.min, data.max, data.sum))
    return Latency(data.count, total, low, high, p50, p95, p99, data.scale, data.zero_count, offset, counts)


def histogram(told: Latency) -> HistogramData:
    """Return the histogram that a message told, for adding it to others."""
    index, counts = from_runs(told.offset, told.counts)
    return HistogramData(told.count, told.sum, told.min, told.max, told.zero_count, index, counts, told.scale)


def _figures(group: Group, readings: Readings) -> dict[str, Figure]:
    table = {metric.name: metric for metric in METRICS if metric.group == group}
    _refuse_unknown(readings, table, f"metrics of {group!r}")
    return {name: _figure(metric, readings.get(name)) for name, metric in table.items()}


def _figure(metric: Metric, reading: Reading) -> Figure:
    if metric.by is None:
        assert not isinstance(reading, Mapping | HistogramData), f"{metric.path} is one number"  # noqa: S101 - ours
        return _number(reading)
    if reading is None or isinstance(reading, Unavailable):
        return None
    assert isinstance(reading, Mapping), f"{metric.path} has a figure for each {metric.by}"  # noqa: S101 - our own fault
    _refuse_unknown(reading, LABEL_VALUES[metric.by], metric.path)
    absent = 0 if metric.kind == "counter" else None
    return {value: _told(metric, reading.get(value, absent)) for value in LABEL_VALUES[metric.by]}


def _told(metric: Metric, value: Value) -> Number | Latency:
    assert metric.kind != "histogram" or value is None or isinstance(value, HistogramData), metric.path  # noqa: S101 - ours
    return latency(value) if isinstance(value, HistogramData) else _number(value)


def _number(value: float | Unavailable | None) -> Number:
    return None if isinstance(value, Unavailable) else _rounded(value)


def _rounded(value: Number) -> Number:
    return round(value, _DIGITS) if isinstance(value, float) else value


def _refuse_unknown(names: Iterable[str], table: Iterable[str], where: str) -> None:
    unknown = sorted(set(names) - set(table))
    if unknown:
        raise AssertionError(f"{', '.join(unknown)}: not in the table of {where}; add it there first")


def fitted(body: Metrics) -> Metrics:
    """Return it with wider buckets where it would exceed its bound, the histogram with most of them first."""
    while len(_encoder.encode(body)) > LIMIT_BYTES - _HEADER_BYTES:
        places = [
            (len(told.counts), figures, label)
            for readings in body.pipelines.values()
            for figures in readings.values()
            if isinstance(figures, dict)
            for label, told in figures.items()
            if isinstance(told, Latency)
        ]
        if not places:
            return _without_empty_stages(body)
        _, figures, label = max(places, key=lambda place: place[0])
        figures[label] = _thinner(figures[label])
    return body


def _without_empty_stages(body: Metrics) -> Metrics:
    """Say null once for all stages, instead of for each."""
    return msgspec.structs.replace(
        body,
        pipelines={
            name: {
                key: figure
                if not isinstance(figure, Mapping) or any(one is not None for one in figure.values())
                else None
                for key, figure in figures.items()
            }
            for name, figures in body.pipelines.items()
        },
    )


def _thinner(told: Latency) -> Latency | None:
    """Return it with buckets twice as wide; None where they already reach from each power of two to the next."""
    if told.scale <= 0:
        return None
    coarse = coarsen(histogram(told))
    offset, counts = to_runs(coarse)
    return msgspec.structs.replace(told, scale=coarse.scale, offset=offset, counts=counts)
