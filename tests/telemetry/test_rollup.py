from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec
import pytest

from inferd.histogram import Histogram, HistogramData, quantile
from inferd.records import STAGES
from inferd.telemetry.metrics import assemble, histogram
from inferd.telemetry.rollup import DAY_BYTES, EVERY_S, LEAST_BYTES, DayBudget, thin
from inferd.wire.telemetry import Event, Header, Latency, Metrics, encode

HEADER = Header(1, "a-device-in-the-cellar", "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", 123_456_789)


def spread(seed: int) -> HistogramData:
    chance, collected = random.Random(seed), Histogram()  # noqa: S311 - repeatable test data
    for _ in range(36_000):
        collected.add(round(7e6 * chance.lognormvariate(0, 0.4)))
    return collected.drain()


@pytest.fixture(scope="module")
def latency() -> dict[str, HistogramData]:
    return {stage: spread(n) for n, stage in enumerate(STAGES)}


def hour(latency: Mapping[str, HistogramData], pipelines: int) -> Metrics:
    """Return an hour of a device whose every meter has something to say."""
    counted = dict.fromkeys(("frames_in", "frames_inferred", "results_reported", "results_suppressed"), 123456789)
    return assemble(
        8_640_000.1234,
        3600.0123,
        system={
            **dict.fromkeys(
                ("uptime_s", "cpu_pct", "memory_total_mb", "memory_available_mb", "disk_free_mb"), 12345.6789
            ),
            **dict.fromkeys(
                ("temperature_c", "clock_mhz", "fan_rpm", "fan_pct", "disk_total_mb", "throttled_s"), 1234.5678
            ),
            **dict.fromkeys(("disk_read_mb", "disk_written_mb", "network_received_mb", "network_sent_mb"), 123456.7891),
            "throttled_by_s": {"under_voltage": 12.1234, "throttled": 1800.4567},
            "power_w": {"estimated": 4.1234},
            "power_error_w": 1.0309,
        },
        agent={"worker_restarts": 12, "messages_dropped": 12345, "inference_energy_mj": {"estimated": 412.1234}},
        processes={
            name: dict.fromkeys(("cpu_pct", "rss_mb", "pss_mb"), 123.4567) for name in ("control", "worker", "seed")
        },
        pipelines={
            f"camera-{n}": {**counted, "fps": 9.9912, "frames_dropped": {"superseded": 123456}, "latency_ms": latency}
            for n in range(pipelines)
        },
        power_source="model of Raspberry Pi 4 Model B",
    )


@pytest.mark.parametrize("pipelines", [1, 2, 4, 8])
def test_a_day_of_roll_ups_and_thirty_alerts_stays_under_fifty_kilobytes(
    latency: Mapping[str, HistogramData], pipelines: int
) -> None:
    budget, total = DayBudget(), 0
    alert = Event("alert.raised", "warning", "the temperature of the processor is 81.3 °C, above 80", None, None, {})
    for n in range(24):
        for _ in range(1 + n % 2 // 2 + (n < 6)):
            size = len(encode(HEADER, alert)) + 35
            total += size
            budget.spend(size, n * EVERY_S)
        short = thin(hour(latency, pipelines), budget.rollup_bytes(n * EVERY_S))
        assert short is not None
        total += len(encode(HEADER, short)) + 35
    assert total < 50_000


def test_one_pipeline_keeps_its_percentiles_and_buckets_that_add_up(latency: Mapping[str, HistogramData]) -> None:
    short = thin(hour(latency, 1), 1500)
    assert short is not None
    stages = short.pipelines["camera-0"]["latency_ms"]
    assert isinstance(stages, Mapping)
    told = stages["total"]
    assert isinstance(told, Latency)
    assert told.p95 == pytest.approx(quantile(latency["total"], 0.95), abs=1e-3)
    if told.counts:
        assert sum(histogram(told).counts) == told.count


def test_what_is_null_is_left_out_and_counters_stay_longest(latency: Mapping[str, HistogramData]) -> None:
    short = thin(hour(latency, 8), LEAST_BYTES + 600)
    assert short is not None
    assert b"null" not in msgspec.json.encode(short.pipelines)
    assert short.pipelines["camera-7"]["frames_inferred"] == 123_456_789


def test_where_not_even_counters_fit_nothing_is_told(latency: Mapping[str, HistogramData]) -> None:
    assert thin(hour(latency, 8), 300) is None


def test_alerts_take_from_roll_ups() -> None:
    budget = DayBudget()
    quiet = budget.rollup_bytes(0.0)
    budget.spend(DAY_BYTES // 2, 0.0)
    assert budget.rollup_bytes(1.0) < quiet
    assert budget.rollup_bytes(86_400.0) == quiet
