from __future__ import annotations

import os
from pathlib import Path
from shutil import copytree

import pytest

from fixtures.paths import BOARD_TREES
from inferd.meters.process import ProcessMeter, parse_cpu_ticks, parse_pss_mb
from inferd.records import Unavailable
from inferd.system.clock import CountingClock, SystemClock

PID = 812
PI4 = BOARD_TREES / "pi4"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copytree(PI4, tmp_path / "root")


def set_user_ticks(root: Path, ticks: int) -> None:
    stat = root / "proc" / str(PID) / "stat"
    stat.write_text(stat.read_text().replace(" 41877 2310 ", f" {ticks} 2310 "))


def test_processor_time_counts_user_and_system_whatever_the_command_is_called() -> None:
    assert parse_cpu_ticks((PI4 / "proc/812/stat").read_bytes()) == 41877 + 2310
    assert parse_cpu_ticks(b"1 (a) b) 9 (c)) R 0 0 0 0 0 0 0 0 0 0 5 6 0 0") == 11


def test_cpu_is_of_one_core_and_since_the_sample_before(root: Path) -> None:
    clock = CountingClock()
    meter = ProcessMeter(PID, clock, root)
    set_user_ticks(root, 41877 + 3 * TICKS_PER_S)
    clock.advance(2.0)
    assert meter.sample()["cpu_pct"] == pytest.approx(150.0)
    clock.advance(2.0)
    assert meter.sample()["cpu_pct"] == pytest.approx(0.0)


def test_without_any_time_between_there_is_no_cpu_share(root: Path) -> None:
    assert ProcessMeter(PID, CountingClock(), root).sample()["cpu_pct"] is None


def test_memory_is_resident_pages_in_megabytes(root: Path) -> None:
    rss_mb = ProcessMeter(PID, CountingClock(), root).sample()["rss_mb"]
    assert rss_mb == pytest.approx(15872 * os.sysconf("SC_PAGE_SIZE") / 1e6)


def test_pss_is_the_line_of_that_name_and_none_of_its_parts() -> None:
    assert parse_pss_mb((PI4 / "proc/812/smaps_rollup").read_bytes()) == pytest.approx(41230 * 1024 / 1e6)


def test_pss_is_measured_less_often(root: Path) -> None:
    clock = CountingClock()
    meter = ProcessMeter(PID, clock, root, pss_every_s=60.0)
    first = meter.sample()["pss_mb"]
    smaps = root / "proc" / str(PID) / "smaps_rollup"
    smaps.write_text(smaps.read_text().replace("41230", "50000"))
    clock.advance(59.0)
    assert meter.sample()["pss_mb"] == first
    clock.advance(1.0)
    assert meter.sample()["pss_mb"] == pytest.approx(51.2)


def test_a_process_that_is_gone_has_no_figures_and_a_reason(tmp_path: Path) -> None:
    readings = ProcessMeter(4711, CountingClock(), tmp_path).sample()
    reasons = [reading.why for reading in readings.values() if isinstance(reading, Unavailable)]
    assert len(reasons) == 3
    assert "4711/stat cannot be read (No such file or directory)" in reasons[0]


@pytest.mark.parametrize("nonsense", [b"", b"812 (x", b"812 (x) S 1 2", b"\xff\xfe" * 300])
def test_nonsense_in_proc_is_unavailable_and_raises_nothing(root: Path, nonsense: bytes) -> None:
    for name in ("stat", "statm", "smaps_rollup"):
        (root / "proc" / str(PID) / name).write_bytes(nonsense)
    readings = ProcessMeter(PID, CountingClock(), root).sample()
    assert all(isinstance(reading, Unavailable) for reading in readings.values())


def test_this_very_process_has_figures() -> None:
    meter = ProcessMeter(os.getpid(), SystemClock())
    readings = meter.sample()
    assert isinstance(readings["rss_mb"], float)
    assert readings["rss_mb"] > 1
    assert isinstance(readings["pss_mb"], float)
    assert not isinstance(readings["cpu_pct"], Unavailable)
    meter.close()


def test_close_twice_is_fine_and_a_closed_meter_opens_again(root: Path) -> None:
    meter = ProcessMeter(PID, CountingClock(), root)
    meter.close()
    meter.close()
    assert isinstance(meter.sample()["rss_mb"], float)
    meter.close()
