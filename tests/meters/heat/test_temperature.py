from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.paths import BOARD_TREES
from inferd.meters.heat.temperature import ThermalMeter
from inferd.records import Unavailable


def zone(root: Path, number: int, kind: str, temperature: str = "42000\n") -> Path:
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "temp").write_text(temperature)
    return folder / "temp"


def test_a_raspberry_pi_tells_its_cpu_zone() -> None:
    assert ThermalMeter(BOARD_TREES / "pi4").sample() == 48.199


def test_a_pc_tells_its_package_and_not_its_board_or_disk() -> None:
    assert ThermalMeter(BOARD_TREES / "x86").sample() == 57.0


def test_the_processor_is_told_apart_from_other_zones(tmp_path: Path) -> None:
    zone(tmp_path, 0, "gpu-thermal", "51000\n")
    zone(tmp_path, 1, "battery", "52000\n")
    zone(tmp_path, 2, "CPU-therm", "53500\n")
    assert ThermalMeter(tmp_path).sample() == 53.5


def test_a_zone_of_an_unknown_name_that_begins_with_cpu_is_taken(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu0_cluster")
    assert ThermalMeter(tmp_path).sample() == 42.0


def test_a_new_value_is_seen(tmp_path: Path) -> None:
    temperature = zone(tmp_path, 0, "cpu-thermal")
    meter = ThermalMeter(tmp_path)
    meter.sample()
    temperature.write_text("-5500\n")
    assert meter.sample() == -5.5
    meter.close()


def test_a_device_without_sensors_says_so(tmp_path: Path) -> None:
    reading = ThermalMeter(tmp_path).sample()
    assert isinstance(reading, Unavailable)
    assert "neither a thermal zone nor a hwmon sensor" in reading.why


def test_a_zone_that_only_measures_the_board_is_no_temperature_of_the_processor(tmp_path: Path) -> None:
    zone(tmp_path, 0, "acpitz")
    assert isinstance(ThermalMeter(tmp_path).sample(), Unavailable)


@pytest.mark.parametrize("text", ["", "warm\n", "-274000\n", "200000\n"])
def test_what_is_no_temperature_is_unavailable(tmp_path: Path, text: str) -> None:
    zone(tmp_path, 0, "cpu-thermal", text)
    assert isinstance(ThermalMeter(tmp_path).sample(), Unavailable)


def test_a_sensor_that_goes_away_is_unavailable_and_counts_again_when_it_is_back(tmp_path: Path) -> None:
    temperature = zone(tmp_path, 0, "cpu-thermal")
    meter = ThermalMeter(tmp_path)
    temperature.unlink()
    assert isinstance(meter.sample(), Unavailable)
    temperature.write_text("40000\n")
    assert meter.sample() == 40.0
