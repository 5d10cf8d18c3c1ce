from __future__ import annotations

import os
from pathlib import Path
from shutil import copytree

import pytest

from fixtures.paths import BOARD_TREES
from inferd.meters.disk import DiskMeter
from inferd.meters.network import NetworkMeter
from inferd.meters.system import CpuTicks, SystemMeter, busy_pct, parse_cpu_ticks
from inferd.records import Unavailable


def test_a_raspberry_pi_4() -> None:
    meter = SystemMeter(root=BOARD_TREES / "pi4")
    assert meter.sample() == {
        "uptime_s": 25102.17,
        "cpu_pct": None,
        "memory_total_mb": pytest.approx(3977.507),
        "memory_available_mb": pytest.approx(3388.633),
        "temperature_c": 48.199,
    }
    meter.close()


def test_a_pc() -> None:
    readings = SystemMeter(root=BOARD_TREES / "x86").sample()
    assert readings["memory_total_mb"] == pytest.approx(16608.596)
    assert readings["temperature_c"] == 57.0


def test_waiting_for_the_disk_is_idle_and_stolen_time_is_busy() -> None:
    ticks = parse_cpu_ticks(b"cpu  100 10 20 500 50 3 4 13 7 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert ticks == CpuTicks(busy=150, total=700)


def test_cpu_is_of_all_cores_and_since_the_sample_before(tmp_path: Path) -> None:
    root = copytree(BOARD_TREES / "pi4", tmp_path / "root")
    meter = SystemMeter(root=root)
    stat = root / "proc/stat"
    stat.write_text(stat.read_text().replace("cpu  284113 1210 97442 9651207", "cpu  284213 1210 97442 9651507"))
    assert meter.sample()["cpu_pct"] == pytest.approx(25.0)
    assert meter.sample()["cpu_pct"] is None


def test_idle_time_that_goes_back_is_not_more_than_all() -> None:
    assert busy_pct(CpuTicks(100, 1000), CpuTicks(160, 1050)) == 100.0


def test_devices_whose_names_are_not_utf8_are_counted_like_any_other(tmp_path: Path) -> None:
    name = b"w\xfclan"
    (tmp_path / "sys/class/net" / os.fsdecode(name) / "device").mkdir(parents=True)
    (tmp_path / "sys/block" / os.fsdecode(name)).mkdir(parents=True)
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/dev").write_bytes(name + b": 3000000 1 0 0 0 0 0 0 5000000 1 0 0 0 0 0 0\n")
    (tmp_path / "proc/diskstats").write_bytes(b"8 0 " + name + b" 1 0 10 0 1 0 10 0 0 0 0\n")
    assert NetworkMeter(tmp_path).sample() == {"network_received_mb": 0.0, "network_sent_mb": 0.0}
    assert DiskMeter(tmp_path, tmp_path).sample()["disk_read_mb"] == 0.0


def test_a_device_without_proc_has_reasons(tmp_path: Path) -> None:
    readings = SystemMeter(root=tmp_path).sample()
    assert all(isinstance(reading, Unavailable) for reading in readings.values())


@pytest.mark.parametrize("nonsense", ["", "cpu", "cpu  1 2\n", "MemTotal: much kB\n", "\n\n\n"])
def test_nonsense_in_proc_is_unavailable_and_raises_nothing(tmp_path: Path, nonsense: str) -> None:
    root = copytree(BOARD_TREES / "pi4", tmp_path / "root")
    for name in ("stat", "meminfo", "uptime"):
        (root / "proc" / name).write_text(nonsense)
    readings = SystemMeter(root=root).sample()
    assert isinstance(readings["cpu_pct"], Unavailable)
    assert isinstance(readings["memory_total_mb"], Unavailable)


def test_this_very_device_has_figures() -> None:
    meter = SystemMeter()
    readings = meter.sample()
    assert isinstance(readings["memory_available_mb"], float)
    assert isinstance(readings["uptime_s"], float)
    meter.close()
