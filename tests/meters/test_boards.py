"""What each board's meters tell, from fixture trees (tests/fixtures/README.md names where the formats come from)."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import Any

import msgspec
import pytest

from fixtures.paths import BOARD_TREES
from inferd.config.settings import MetricsConfig
from inferd.meters.background import DirectReader
from inferd.meters.device_meters import DeviceMeter
from inferd.meters.power.meter import Energy
from inferd.records import Unavailable
from inferd.system.clock import CountingClock

BOARDS = ("pi3", "pi4", "pi5", "zero2", "coral", "jetson", "x86")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def measured(board: str, **metrics: Any) -> tuple[dict[str, Any], DeviceMeter]:  # Any: settings of every kind
    """Return a board's readings after ten seconds."""
    clock = CountingClock()
    meter = DeviceMeter(clock, MetricsConfig(**metrics), BOARD_TREES, BOARD_TREES / board, DirectReader)
    for _ in range(10):
        clock.advance(1.0)
        meter.tick()
    readings = meter.sample()
    meter.close()
    return readings, meter


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_tells_clock_temperature_disk_and_network(board: str) -> None:
    readings, _ = measured(board)
    for name in ("clock_mhz", "temperature_c", "disk_free_mb", "disk_written_mb", "network_sent_mb"):
        assert isinstance(readings[name], float), (name, readings[name])


@pytest.mark.parametrize(
    ("board", "slowed_s", "by"),
    [
        (
            "pi3",
            10.0,
            {"under_voltage": 10.0, "frequency_capped": 0.0, "throttled": 10.0, "soft_temperature_limit": 0.0},
        ),
        ("pi4", 0.0, {"under_voltage": 0.0, "frequency_capped": 0.0, "throttled": 0.0, "soft_temperature_limit": 0.0}),
        ("pi5", 0.0, {"under_voltage": 0.0, "frequency_capped": 0.0, "throttled": 0.0, "soft_temperature_limit": 0.0}),
        ("coral", 10.0, {"frequency_capped": 10.0}),
        ("jetson", 0.0, {"frequency_capped": 0.0}),
        ("x86", 0.0, {"throttled": 0.0}),
    ],
)
def test_an_interval_tells_for_how_long_it_was_slowed_down_and_why(
    board: str, slowed_s: float, by: dict[str, float]
) -> None:
    readings, _ = measured(board)
    assert (readings["throttled_s"], readings["throttled_by_s"]) == (slowed_s, by)


def test_a_pi_5_tells_its_fan_and_the_sum_of_its_rails() -> None:
    readings, meter = measured("pi5")
    assert (readings["fan_rpm"], readings["fan_pct"]) == (3120, pytest.approx(29.4, abs=0.1))
    assert readings["power_w"] == {"measured": pytest.approx(2.54, abs=0.01)}
    assert readings["power_error_w"] is None
    assert isinstance(meter.energy, Energy)
    assert meter.energy.source == "pmic"


def test_a_jetson_tells_the_rail_of_the_whole_board_and_not_its_parts_on_top() -> None:
    readings, meter = measured("jetson")
    assert readings["power_w"] == {"measured": pytest.approx(5.08 * 1.072)}
    assert isinstance(meter.energy, Energy)
    assert meter.energy.source == "ina3221"


def test_a_laptop_on_battery_tells_what_the_battery_gives_and_not_what_a_charger_agreed_to() -> None:
    assert measured("x86")[0]["power_w"] == {"measured": pytest.approx(9.12)}


@pytest.mark.parametrize(("board", "idle_w"), [("pi3", 1.9), ("pi4", 2.7), ("zero2", 0.6)])
def test_a_board_without_a_meter_is_estimated_and_says_how_far_off_that_may_be(
    tmp_path: Path, board: str, idle_w: float
) -> None:
    clock, root = CountingClock(), copytree(BOARD_TREES / board, tmp_path / "root")
    meter = DeviceMeter(clock, MetricsConfig(), tmp_path, root, DirectReader)
    stat = root / "proc/stat"
    user, _, rest = stat.read_text().removeprefix("cpu  ").partition(" ")
    head, idle, tail = (fields := rest.split(" ", 3))[0:2], fields[2], fields[3]
    stat.write_text(f"cpu  {int(user) + 100} {' '.join(head)} {int(idle) + 300} {tail}")  # a quarter busy: one of four
    clock.advance(1.0)
    meter.tick()
    readings = meter.sample()
    assert isinstance(readings["power_w"], dict)
    assert list(readings["power_w"]) == ["estimated"]
    assert readings["power_w"]["estimated"] > idle_w
    assert isinstance(meter.energy, Energy)
    assert meter.energy.error is not None
    assert readings["power_error_w"] == pytest.approx(readings["power_w"]["estimated"] * meter.energy.error)
    assert meter.energy.above_idle_j == pytest.approx(meter.energy.energy_j - idle_w)
    meter.close()


def test_a_board_that_nobody_measured_says_how_to_mend_that() -> None:
    told = measured("coral")[0]["power_w"]
    assert isinstance(told, Unavailable)
    assert "no known figures for Freescale i.MX8MQ Phanbell" in told.why
    assert "metrics.idle_w" in told.why


def test_coefficients_of_ones_own_make_an_estimate_anywhere() -> None:
    clock = CountingClock()
    meter = DeviceMeter(clock, MetricsConfig(idle_w=2.0, core_w=0.5), BOARD_TREES, BOARD_TREES / "coral", DirectReader)
    assert "power_w" not in meter.unavailable()
    meter.close()


def test_a_meter_that_is_wanted_and_not_there_is_named() -> None:
    told = measured("pi4", power="rapl")[0]["power_w"]
    assert isinstance(told, Unavailable)
    assert 'metrics.power = "rapl"' in told.why


def test_what_is_switched_off_opens_no_file_and_starts_no_thread() -> None:
    switches = ("temperature", "throttling", "clock", "fan", "disk", "network")
    before = descriptors()
    everything = DeviceMeter(CountingClock(), MetricsConfig(), BOARD_TREES, BOARD_TREES / "coral", DirectReader)
    everything.sample()
    opened = descriptors() - before
    everything.close()
    off = dict.fromkeys(switches, False) | {"power": "off"}
    nothing = DeviceMeter(
        CountingClock(), msgspec.convert(off, MetricsConfig), BOARD_TREES, BOARD_TREES / "coral", DirectReader
    )
    told = nothing.sample()
    assert descriptors() - before == 3 < opened  # stat, meminfo, uptime
    assert set(told) == {"uptime_s", "cpu_pct", "memory_total_mb", "memory_available_mb", "temperature_c", "power_w"}
    nothing.close()


def test_counters_begin_with_the_meter_and_leave_out_partitions_and_bridges(tmp_path: Path) -> None:
    root = copytree(BOARD_TREES / "pi4", tmp_path / "root")
    meter = DeviceMeter(CountingClock(), MetricsConfig(), tmp_path, root, DirectReader)
    stats, dev = root / "proc/diskstats", root / "proc/net/dev"
    stats.write_text(stats.read_text().replace(" 402112 ", " 404112 ").replace(" 402109 ", " 404109 "))
    dev.write_text(dev.read_text().replace(" 12004410 ", " 12104410 ").replace(" 7000000 ", " 9000000 "))
    readings = meter.sample()
    assert (readings["disk_written_mb"], readings["network_sent_mb"]) == (2000 * 512 / 1e6, 0.1)
    meter.close()
