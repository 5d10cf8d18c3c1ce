from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inferd import ipc
from inferd.config.settings import MetricsConfig
from inferd.control.reporting.metrics import MetricsReporter
from inferd.histogram import Histogram
from inferd.meters.background import DirectReader
from inferd.records import STAGES
from inferd.system.clock import CountingClock


@pytest.fixture
def clock() -> CountingClock:
    return CountingClock()


@pytest.fixture
def figures(clock: CountingClock) -> Iterator[MetricsReporter]:
    made = MetricsReporter(clock)
    yield made
    made.close()


def counts(frames: int, covered_s: float = 0.5, lost: int = 0, took_ms: int = 10) -> ipc.Counts:
    latency = {stage: Histogram() for stage in STAGES}
    for histogram in latency.values():
        for _ in range(frames):
            histogram.add(took_ms * 1_000_000)
    drained = {stage: histogram.drain() for stage, histogram in latency.items()}
    return ipc.Counts(covered_s, {"cam": ipc.PipelineCounts(frames, frames, {}, frames, 0, 0, drained)}, lost)


def told(figures: MetricsReporter) -> dict[str, Any]:
    """Return the message as a subscriber reads it."""
    message: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(figures.report(0)))
    return message


def test_frames_a_second_are_of_the_time_in_which_they_were_counted(
    figures: MetricsReporter, clock: CountingClock
) -> None:
    clock.advance(1.0)
    figures.add(counts(15, covered_s=1.0))
    figures.add(counts(15, covered_s=1.0))  # two seconds of counting arrive in one second of reporting
    assert told(figures)["pipelines"]["cam"]["fps"] == 15.0


def test_counters_go_on_and_histograms_start_again(figures: MetricsReporter) -> None:
    figures.add(counts(3))
    first = told(figures)["pipelines"]["cam"]
    figures.add(counts(4))
    second = told(figures)["pipelines"]["cam"]
    assert (first["frames_in"], second["frames_in"]) == (3, 7)
    assert (first["latency_ms"]["total"]["count"], second["latency_ms"]["total"]["count"]) == (3, 4)


def test_counters_go_on_when_the_worker_is_replaced(figures: MetricsReporter) -> None:
    figures.add(counts(3, lost=2))
    figures.worker_ended()
    figures.add(counts(4, lost=1))
    message = told(figures)
    assert message["pipelines"]["cam"]["frames_in"] == 7
    assert (message["agent"]["worker_restarts"], message["agent"]["worker_messages_lost"]) == (1, 3)


def test_the_p95_of_a_turn_is_known_before_the_first_report(figures: MetricsReporter) -> None:
    assert figures.p95_s("cam") == 0.0
    figures.add(counts(5, took_ms=20))
    assert figures.p95_s("cam") == pytest.approx(0.020, rel=0.01)


def test_a_report_is_due_after_its_interval(figures: MetricsReporter, clock: CountingClock) -> None:
    clock.advance(59)
    assert not figures.due(60)
    clock.advance(1)
    assert figures.due(60)


def test_a_pipeline_that_is_gone_is_no_longer_told(figures: MetricsReporter) -> None:
    figures.add(counts(1))
    figures.forget("cam")
    assert told(figures)["pipelines"] == {}


def test_an_alert_may_watch_what_a_result_costs_now(clock: CountingClock, tmp_path: Path) -> None:
    chip = tmp_path / "sys/class/hwmon/hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina226\n")
    (chip / "power1_input").write_text("3000000\n")
    figures = MetricsReporter(clock, MetricsConfig(), tmp_path, tmp_path, DirectReader)
    for _ in range(5):
        clock.advance(1.0)
        figures.tick()
    assert figures.sightings((), ())["inference_energy_mj", ""] is None
    figures.add(counts(10))
    fps = figures.sightings((), ())["fps", "cam"]
    assert fps is not None
    assert figures.sightings((), ())["inference_energy_mj", ""] == pytest.approx(3000.0 / fps)
    figures.close()


def test_a_result_costs_its_share_of_what_the_device_drew_and_measured_is_never_estimated(
    clock: CountingClock, tmp_path: Path
) -> None:
    chip = tmp_path / "sys/class/hwmon/hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina226\n")
    (chip / "power1_input").write_text("3000000\n")
    figures = MetricsReporter(clock, MetricsConfig(idle_w=2.0), tmp_path, tmp_path, DirectReader)
    for _ in range(10):
        clock.advance(1.0)
        figures.tick()
    figures.add(counts(20))
    message = told(figures)
    assert message["agent"]["inference_energy_mj"] == {"measured": 1500.0, "estimated": None}
    assert message["agent"]["inference_energy_above_idle_mj"] == {"measured": 500.0, "estimated": None}
    assert (message["system"]["power_w"], message["power_source"]) == ({"measured": 3.0, "estimated": None}, "ina226")
    figures.close()


def network(root: Path, received: int) -> None:
    (root / "proc/net").mkdir(parents=True, exist_ok=True)
    (root / "sys/class/net/eth0/device").mkdir(parents=True, exist_ok=True)
    (root / "proc/net/dev").write_text(f"  eth0: {received}" + " 0" * 15 + "\n")


@pytest.mark.parametrize(
    ("metrics", "counted_mb"),
    [(MetricsConfig(interval_s=1.0), 5.0), (MetricsConfig(metered=True), 5.0), (MetricsConfig(fan=False), 0.0)],
    ids=["the interval", "metered", "a meter"],
)
def test_who_changes_when_figures_are_told_does_not_begin_to_count_anew(
    clock: CountingClock, tmp_path: Path, metrics: MetricsConfig, counted_mb: float
) -> None:
    network(tmp_path, 1_000_000)
    figures = MetricsReporter(clock, MetricsConfig(), root=tmp_path, slowly=DirectReader)
    network(tmp_path, 6_000_000)
    figures.configure(metrics)
    assert told(figures)["system"]["network_received_mb"] == counted_mb
    figures.close()
