"""Figures for Prometheus, from the metric table: as text, and as protobuf, which alone carries native histograms. Pure.

Native histograms of schema 6 are bucket for bucket what we count, so `sum` over devices and `histogram_quantile` give the
percentiles of all their values together, within a bucket's 1.1 %. In text, buckets are sixteen times as wide; Prometheus
before 2.40, or without --enable-feature=native-histograms, asks for that. Formats: prometheus.io/docs/instrumenting/
exposition_formats and io/prometheus/client/metrics.proto of github.com/prometheus/client_model.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from inferd.histogram import HistogramData, coarsen
from inferd.telemetry.device_state import DeviceState
from inferd.telemetry.metrics import METRICS, Metric
from inferd.wire.telemetry import Figure, Metrics, Number

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROTOBUF_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
TEXT_SCALE = 2  # each bucket 19 % wider than the one before
FIRST_TEXT_BUCKET, LAST_TEXT_BUCKET = (
    -18,
    60,
)  # upper ends of 2^-4.25 = 0.05 ms to 2^15.25 = 39 s; fixed, so that they add up
SUFFIXES = {"s": "seconds", "c": "celsius", "mb": "megabytes", "pct": "percent", "w": "watts", "mj": "millijoules"}
SUFFIXES |= {"ms": "milliseconds", "mhz": "megahertz"}
Kind = Literal["gauge", "counter", "histogram"]
Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float | HistogramData]
Histograms = Mapping[tuple[str, str], HistogramData]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all its samples, as Prometheus has it."""

    name: str
    help: str
    kind: Kind
    samples: tuple[Sample, ...]


def families(state: DeviceState, histograms: Histograms) -> list[Family]:
    """Return all metric families; what is not known is left out.

    Args:
        state: of the device, from its own messages.
        histograms: by pipeline and stage, of all values since the agent started.
    """
    metrics, info = state.metrics or Metrics(0.0, 0.0, {}, {}, {}, {}), state.info
    about = {"version": info.version, "board": info.board or "", "os": info.os} if info else {}
    told = [Family("inferd_info", "What this device is.", "gauge", ((tuple(sorted(about.items())), 1.0),))]
    told.append(Family("inferd_uptime_seconds", "Since the agent started.", "gauge", (((), metrics.uptime_s),)))
    for metric in METRICS:
        samples: tuple[Sample, ...] = tuple(
            _histograms(histograms) if metric.kind == "histogram" else _samples(metric, metrics)
        )
        if samples:
            told.append(Family(family_name(metric), metric.help, metric.kind, samples))
    told += (family for family in _of_pipelines(state) if family.samples)
    return told


def _of_pipelines(state: DeviceState) -> Iterator[Family]:
    """Yield what each pipeline sees, how it is, which model serves it, and the alerts that are active."""

    def family(name: str, text: str, kind: Kind, samples: Iterable[tuple[Mapping[str, str], float]]) -> Family:
        return Family(f"inferd_{name}", text, kind, tuple((tuple(labels.items()), value) for labels, value in samples))

    seen = [(name, one.state) for name, one in state.pipelines.items() if one.state is not None]
    statuses = [(name, one.status) for name, one in state.pipelines.items() if one.status is not None]
    models = [(name, one.model) for name, one in state.pipelines.items() if one.model is not None and one.model.name]
    yield family(
        "pipeline_status",
        "1 for the status that a pipeline has.",
        "gauge",
        (({"pipeline": name, "status": one.status}, 1.0) for name, one in statuses),
    )
    yield family(
        "pipeline_objects",
        "Objects of each label in the settled answer; a classifier's label counts as one.",
        "gauge",
        (
            ({"pipeline": name, "label": label}, float(count))
            for name, one in seen
            for label, count in one.counts.items()
        ),
    )
    yield family(
        "pipeline_zone_objects",
        "Objects in each zone.",
        "gauge",
        (
            ({"pipeline": name, "zone": zone}, float(count))
            for name, one in seen
            for zone, count in (one.zones or {}).items()
        ),
    )
    yield family(
        "pipeline_line_crossings_total",
        "Objects that crossed each line since the worker started.",
        "counter",
        (
            ({"pipeline": name, "line": line, "direction": way}, float(count))
            for name, one in seen
            for line, counts in (one.lines or {}).items()
            for way, count in (("in", counts.in_), ("out", counts.out_))
        ),
    )
    yield family(
        "model_info",
        "Which model serves a pipeline.",
        "gauge",
        (
            (
                {
                    "pipeline": name,
                    "name": one.name,
                    "version": one.version,
                    "digest": one.digest,
                    "task": one.task or "",
                    "accelerator": one.accelerator or "",
                    "state": one.state,
                },
                1.0,
            )
            for name, one in models
        ),
    )
    yield family(
        "alert_active",
        "1 for each alert that is active.",
        "gauge",
        (({"alert": alert, "pipeline": pipeline}, 1.0) for alert, pipeline in state.alerts),
    )


def family_name(metric: Metric) -> str:
    """Return a metric's name in the way of Prometheus: the unit in full at its end, and "_total" on counters."""
    stem, _, unit = metric.name.rpartition("_")
    name = f"{stem}_{SUFFIXES[unit]}" if stem and unit in SUFFIXES else metric.name
    group = {"processes": "process", "pipelines": "pipeline"}.get(metric.group, metric.group)
    return f"inferd_{group}_{name}" + ("_total" if metric.kind == "counter" else "")


def text(told: Sequence[Family]) -> bytes:
    """Return the text format."""
    lines: list[str] = []
    for family in told:
        lines += [f"# HELP {family.name} {_escaped_help(family.help)}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in family.samples:
            if isinstance(value, HistogramData):
                lines += _text_histogram(family.name, labels, value)
            else:
                lines.append(f"{family.name}{_text_labels(labels)} {_text_number(value)}")
    return ("\n".join(lines) + "\n").encode()


def protobuf(told: Sequence[Family]) -> bytes:
    """Return the protobuf format: each MetricFamily behind its length."""
    encoded = [_family(family) for family in told]
    return b"".join(_varint(len(one)) + one for one in encoded)


def text_buckets(data: HistogramData) -> Iterator[tuple[float, int]]:
    """Yield the upper end of each text bucket in ms, and how many values do not exceed it."""
    while data.scale > TEXT_SCALE:
        data = coarsen(data)
    counts = dict(zip(data.index, data.counts, strict=True))
    below = data.zero_count + sum(count for index, count in counts.items() if index < FIRST_TEXT_BUCKET)
    for index in range(FIRST_TEXT_BUCKET, LAST_TEXT_BUCKET + 1):
        below += counts.get(index, 0)
        yield 2.0 ** ((index + 1) / (1 << TEXT_SCALE)), below


def _samples(metric: Metric, metrics: Metrics) -> Iterator[Sample]:
    group: Mapping[str, object] = getattr(metrics, metric.group)
    label = metric.labels[0] if metric.group in ("processes", "pipelines") else ""
    holders = group.items() if label else [("", group)]
    for holder, figures in holders:
        assert isinstance(figures, Mapping)  # noqa: S101 - as the message has it
        outer: Labels = ((label, holder),) if label else ()
        yield from _of_figure(metric, figures.get(metric.name), outer)


def _of_figure(metric: Metric, figure: Figure, outer: Labels) -> Iterator[Sample]:
    by: Mapping[str, object] = figure if isinstance(figure, Mapping) else {"": figure}
    for value, told in by.items():
        if isinstance(told, int | float):
            yield (*outer, (str(metric.by), value)) if metric.by else outer, float(told)


def _histograms(histograms: Histograms) -> Iterator[Sample]:
    for (pipeline, stage), data in histograms.items():
        yield (("pipeline", pipeline), ("stage", stage)), data


def _text_histogram(name: str, labels: Labels, data: HistogramData) -> Iterator[str]:
    for upper_ms, count in text_buckets(data):
        yield f"{name}_bucket{_text_labels((*labels, ('le', _text_number(upper_ms))))} {count}"
    yield f"{name}_bucket{_text_labels((*labels, ('le', '+Inf')))} {data.count}"
    yield f"{name}_sum{_text_labels(labels)} {_text_number(data.sum)}"
    yield f"{name}_count{_text_labels(labels)} {data.count}"


def _text_labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _text_number(value: Number) -> str:
    return repr(float(value)) if value is not None else "NaN"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escaped_help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


_TYPES: Mapping[Kind, int] = {"counter": 0, "gauge": 1, "histogram": 4}
_FIELD: Mapping[Kind, int] = {"gauge": 2, "counter": 3, "histogram": 7}


def _family(family: Family) -> bytes:
    metrics = b"".join(_block(4, _metric(family.kind, labels, value)) for labels, value in family.samples)
    head = _block(1, family.name.encode()) + _block(2, family.help.encode())
    return head + _tag(3, 0) + _varint(_TYPES[family.kind]) + metrics


def _metric(kind: Kind, labels: Labels, value: float | HistogramData) -> bytes:
    pairs = b"".join(_block(1, _block(1, name.encode()) + _block(2, text.encode())) for name, text in labels)
    body = _native(value) if isinstance(value, HistogramData) else _double(1, value)
    return pairs + _block(_FIELD[kind], body)


def _native(data: HistogramData) -> bytes:
    """Return a Histogram message; its bucket i ends where ours of i - 1 does."""
    spans, deltas = _spans(data)
    return (
        _tag(1, 0)
        + _varint(data.count)
        + _double(2, data.sum)
        + _tag(5, 0)
        + _varint(_zigzag(data.scale))
        + _double(6, 0.0)
        + _tag(7, 0)
        + _varint(data.zero_count)
        + b"".join(
            _block(12, _tag(1, 0) + _varint(_zigzag(offset)) + _tag(2, 0) + _varint(length)) for offset, length in spans
        )
        + _block(13, b"".join(_varint(_zigzag(delta)) for delta in deltas))
    )


def _spans(data: HistogramData) -> tuple[list[tuple[int, int]], list[int]]:
    """Return runs of buckets (gap before it, length) and the differences between successive counts."""
    spans: list[tuple[int, int]] = []
    end = 0
    for index in data.index:
        gap = index + 1 - end
        if spans and gap == 0:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((gap, 1))
        end = index + 2
    # A native histogram without any bucket needs an empty span, or Prometheus takes it for a classic one.
    return spans or [(0, 0)], [after - before for before, after in pairwise((0, *data.counts))]


def _block(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _double(field: int, value: float) -> bytes:
    return _tag(field, 1) + struct.pack("<d", value)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits to the octet
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
