from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec
import pytest

from inferd.histogram import Histogram, HistogramData, merge, quantile
from inferd.records import STAGES, Unavailable
from inferd.telemetry.metrics import CAUSES, METRICS, Reading, assemble, histogram, latency, unavailable
from inferd.wire.telemetry import LIMIT_BYTES, Header, Latency, Metrics, encode

TYPICAL_MS = {"capture": 1.8, "preprocess": 0.25, "invoke": 6.7, "decode": 0.02, "total": 7.0, "frame_age": 18.0}
HEADER = Header(1, "d" * 64, "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", 123_456_789)


def spread(typical_ms: float, sigma: float, size: int, seed: int) -> HistogramData:
    """Return log-normal latencies of which one in a hundred met something else on the processor."""
    chance, collected = random.Random(seed), Histogram()  # noqa: S311 - repeatable test data
    for _ in range(size):
        slowed = chance.uniform(1.5, 5) if chance.random() < 0.01 else 1
        collected.add(round(typical_ms * 1e6 * slowed * chance.lognormvariate(0, sigma)))
    return collected.drain()


def pipeline(sigma: float, frames: int, seed: int) -> dict[str, Reading]:
    return {
        "frames_in": 123_456_789,
        "frames_inferred": 123_456_789,
        "frames_dropped": {"superseded": 1_234_567},
        "results_reported": 123_456_789,
        "results_suppressed": 123_456_789,
        "engine_swaps": 12,
        "source_restarts": 123,
        "fps": 29.973,
        "latency_ms": {stage: spread(typical, sigma, frames, seed) for stage, typical in TYPICAL_MS.items()},
    }


def assembled(pipelines: Mapping[str, Mapping[str, Reading]]) -> Metrics:
    return assemble(
        86_400.123,
        60.001,
        system={"uptime_s": 1e6, "cpu_pct": 25.1, "temperature_c": Unavailable("no thermal zone")},
        agent={"worker_restarts": 1, "worker_messages_lost": 0, "messages_dropped": 17},
        processes={name: {"cpu_pct": 101.25, "rss_mb": 61.44} for name in ("control", "worker", "seed")},
        pipelines=pipelines,
    )


def latencies(body: Metrics) -> list[Latency]:
    groups = [figures["latency_ms"] for figures in body.pipelines.values()]
    return [told for group in groups if isinstance(group, dict) for told in group.values()]


def test_four_pipelines_at_thirty_frames_a_second_fit_with_all_their_buckets() -> None:
    body = assembled({f"front-door-camera-{n}": pipeline(0.25, 1800, n) for n in range(4)})
    assert len(encode(HEADER, body)) <= LIMIT_BYTES
    assert {told.scale for told in latencies(body)} == {6}


@pytest.mark.parametrize(("pipelines", "sigma"), [(4, 1.5), (12, 0.5)])
def test_what_would_not_fit_gets_wider_buckets_and_keeps_its_percentiles(pipelines: int, sigma: float) -> None:
    body = assembled({f"cam-{n}": pipeline(sigma, 1800, n) for n in range(pipelines)})
    assert len(encode(HEADER, body)) <= LIMIT_BYTES
    assert min(told.scale for told in latencies(body)) < 6
    assert latencies(body)[2].p95 == latency(spread(TYPICAL_MS["invoke"], sigma, 1800, 0)).p95
    assert all(sum(n for n in told.counts if n > 0) == 1800 for told in latencies(body))


def test_even_forty_pipelines_fit() -> None:
    body = assembled({f"cam-{n}": pipeline(0.3, 100, n) for n in range(40)})
    assert len(encode(HEADER, body)) <= LIMIT_BYTES


def test_every_metric_of_the_table_is_told_and_null_where_there_is_no_reading() -> None:
    body = assembled({"cam": {}})
    groups = {"system": body.system, "agent": body.agent, "processes": body.processes["seed"]} | {
        "pipelines": body.pipelines["cam"]
    }
    assert [(group, name) for group, figures in groups.items() for name in figures] == [
        (metric.group, metric.name) for metric in METRICS
    ]
    assert (body.system["temperature_c"], body.system["memory_total_mb"], body.pipelines["cam"]["fps"]) == (None,) * 3


def test_a_cause_that_never_happened_was_counted_zero_times() -> None:
    body = assembled({"cam": {"frames_dropped": {"superseded": 3}}})
    assert body.pipelines["cam"]["frames_dropped"] == dict.fromkeys(CAUSES, 0) | {"superseded": 3}


def test_a_stage_that_was_not_timed_is_null() -> None:
    body = assembled({"cam": {"latency_ms": {"invoke": spread(1, 0.1, 5, 0)}}})
    told = body.pipelines["cam"]["latency_ms"]
    assert isinstance(told, dict)
    assert [stage for stage in STAGES if told[stage] is None] == [stage for stage in STAGES if stage != "invoke"]


@pytest.mark.parametrize(
    "readings",
    [
        {"frames": 1},
        {"frames_dropped": {"bad_luck": 1}},
        {"latency_ms": {"lunch": HistogramData()}},
        {"latency_ms": {"invoke": 7.5}},
        {"latency_ms": HistogramData()},
        {"fps": {"superseded": 1}},
    ],
)
def test_what_is_not_in_the_table_is_refused(readings: dict[str, Reading]) -> None:
    with pytest.raises(AssertionError):
        assembled({"cam": readings})


def test_a_name_is_told_once_in_its_group() -> None:
    paths = [metric.path for metric in METRICS]
    assert len(paths) == len(set(paths))


def test_a_path_says_where_a_metric_stands() -> None:
    assert METRICS[-1].path == "pipelines.<pipeline>.latency_ms.<stage>"
    assert METRICS[-1].labels == ("pipeline", "stage")


def test_messages_of_two_devices_add_up_to_the_percentiles_of_both() -> None:
    one, other = spread(6.7, 0.2, 900, 1), spread(19, 0.2, 300, 2)
    told = [msgspec.json.decode(msgspec.json.encode(latency(data)), type=Latency) for data in (one, other)]
    merged = merge(*(histogram(message) for message in told))
    assert quantile(merged, 0.95) == pytest.approx(quantile(merge(one, other), 0.95))


def test_an_interval_without_frames_has_no_percentiles() -> None:
    assert latency(HistogramData()) == Latency(0, 0.0, 0.0, 0.0, None, None, None, 6, 0, 0, [])


def test_the_reasons_for_missing_readings_can_be_told() -> None:
    readings: dict[str, Reading] = {"cpu_pct": 1.0, "temperature_c": Unavailable("no thermal zone")}
    assert unavailable(readings) == {"temperature_c": "no thermal zone"}
