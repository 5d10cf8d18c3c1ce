from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from fixtures.paths import BOARD_TREES
from inferd.config.settings import MetricsConfig
from inferd.meters.background import DirectReader
from inferd.meters.power.estimate import BOARDS, Coefficients, estimate_w, find_coefficients
from inferd.meters.power.firmware import parse_pmic, read_pmic
from inferd.meters.power.meter import Energy, PowerMeter
from inferd.meters.power.rapl import Rapl, find_zones
from inferd.meters.power.sensors import find_sensor, find_supply
from inferd.meters.vcgencmd import Vcgencmd
from inferd.records import Unavailable
from inferd.system.clock import CountingClock


def files(folder: Path, **texts: object) -> Path:
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def test_rails_are_paired_by_name_and_what_tells_no_current_does_not_count() -> None:
    answer = (
        "  VDD_CORE_A current(7)=2.00000000A\n   3V3_ADC_A current(18)=0.1A\n  VDD_CORE_V volt(15)=0.85V\n"
        "   3V3_ADC_V volt(21)=nanV\n    EXT5V_V volt(24)=5.1V\n     BATT_V volt(25)=0.0V\n"
    )
    assert parse_pmic(answer) == pytest.approx(1.7)


@pytest.mark.parametrize("answer", ["", 'error=1 error_msg="Command not registered"', "EXT5V_V volt(24)=5.1V\n"])
def test_an_answer_without_rails_is_none(answer: str) -> None:
    with pytest.raises(ValueError, match="no rail tells current and voltage"):
        parse_pmic(answer)


def test_a_firmware_that_does_not_know_the_question_is_unavailable() -> None:
    told = read_pmic(Vcgencmd(BOARD_TREES / "pi4"))
    assert isinstance(told, Unavailable)
    assert "only a Raspberry Pi 5 has this chip" in told.why


@pytest.mark.parametrize("chip", ["ina219", "ina226", "ina238", "ina260"])
def test_an_ina_chip_tells_microwatts(tmp_path: Path, chip: str) -> None:
    files(tmp_path / "sys/class/hwmon/hwmon3", name=chip, power1_input=4_250_000, in1_input=5000, curr1_input=850)
    found = find_sensor(tmp_path)
    assert found is not None
    assert (found.name, found.read()) == (chip, 4.25)


def test_a_chip_without_a_power_register_tells_volts_times_amperes(tmp_path: Path) -> None:
    files(tmp_path / "sys/class/hwmon/hwmon3", name="ina219", in1_input=5000, curr1_input=850)
    found = find_sensor(tmp_path)
    assert found is not None
    assert found.read() == 4.25


def test_a_chip_that_the_kernel_shows_as_iio_tells_its_register_times_its_scale(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/iio/devices/iio:device0"
    files(folder, name="ina226", in_power2_raw=800, in_power2_scale="6.250000000")  # by ina2xx-adc of Linux 6.1
    found = find_sensor(tmp_path)
    assert found is not None
    assert (found.name, found.read()) == ("ina226", 5.0)


def test_channels_of_an_ina3221_without_a_rail_of_the_whole_board_are_added_up(tmp_path: Path) -> None:
    root = copytree(BOARD_TREES / "jetson", tmp_path / "root")
    chip = root / "sys/class/hwmon/hwmon1"
    (chip / "in1_label").write_text("CH1\n")
    (chip / "in3_enable").write_text("0\n")
    found = find_sensor(root)
    assert found is not None
    assert found.read() == pytest.approx(5.08 * 1.072 + 5.08 * 0.264)


def test_an_old_jetson_tells_milliwatts_by_rail(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    files(folder, rail_name_0="POM_5V_IN", in_power0_input=2840, rail_name_1="POM_5V_GPU", in_power1_input=120)
    found = find_sensor(tmp_path)
    assert found is not None
    assert (found.name, found.read()) == ("ina3221x", 2.84)


def test_a_sensor_that_fails_is_unavailable(tmp_path: Path) -> None:
    files(tmp_path / "sys/class/hwmon/hwmon3", name="ina226", power1_input="")
    found = find_sensor(tmp_path)
    assert found is not None
    assert isinstance(found.read(), Unavailable)


def test_a_battery_that_is_charged_does_not_tell_what_the_device_draws(tmp_path: Path) -> None:
    files(tmp_path / "sys/class/power_supply/BAT0", type="Battery", status="Charging", power_now=15_000_000)
    found = find_supply(tmp_path)
    assert found is not None
    told = found.read()
    assert isinstance(told, Unavailable)
    assert "BAT0 is not discharging" in told.why


def test_a_usb_supply_that_measures_tells_volts_times_amperes(tmp_path: Path) -> None:
    files(
        tmp_path / "sys/class/power_supply/axp20x-usb", type="USB", current_now=600_000, voltage_now=5_000_000, online=1
    )
    found = find_supply(tmp_path)
    assert found is not None
    assert found.read() == 3.0


def test_an_energy_counter_that_begins_again_loses_nothing(tmp_path: Path) -> None:
    package = {"name": "package-0", "energy_uj": 9_500_000, "max_energy_range_uj": 9_999_999}
    folder = files(tmp_path / "sys/class/powercap/intel-rapl:0", **package)
    clock = CountingClock()
    rapl = Rapl(find_zones(tmp_path)[1], clock)
    assert rapl.watts() is None
    (folder / "energy_uj").write_text("500000\n")
    clock.advance(2.0)
    assert rapl.watts() == pytest.approx(0.5)
    rapl.close()


def test_the_platform_counts_instead_of_its_packages_and_cores_never_on_top(tmp_path: Path) -> None:
    for n, name in enumerate(("package-0", "psys")):
        files(tmp_path / f"sys/class/powercap/intel-rapl:{n}", name=name, energy_uj=1, max_energy_range_uj=2**32)
    counted, zones = find_zones(tmp_path)
    assert (counted, len(zones)) == ("platform", 1)
    assert [len(find_zones(BOARD_TREES / "x86")[1]), find_zones(BOARD_TREES / "x86")[0]] == [1, "packages"]


def test_counters_that_only_root_may_read_are_left_for_the_next_meter_and_named(tmp_path: Path) -> None:
    files(tmp_path / "sys/class/powercap/intel-rapl:0", name="package-0", max_energy_range_uj=2**32)
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").mkdir()
    meter = PowerMeter(CountingClock(), MetricsConfig(power="rapl"), tmp_path, DirectReader)
    assert meter.why is not None
    assert "only root may" in meter.why.why
    meter.close()


@pytest.mark.parametrize("row", BOARDS, ids=lambda row: row.board)
def test_coefficients_name_their_source_and_their_error(row: Coefficients) -> None:
    assert row.source
    assert 0 < row.error < 1
    assert 0 < row.idle_w < estimate_w(row, 4)


def test_a_board_is_known_by_the_beginning_of_its_name() -> None:
    known = find_coefficients("Raspberry Pi 3 Model B Plus Rev 1.3")
    assert isinstance(known, Coefficients)
    assert known.idle_w == 1.9


def test_energy_is_what_was_drawn_while_something_was_known(tmp_path: Path) -> None:
    chip = files(tmp_path / "sys/class/hwmon/hwmon3", name="ina226", power1_input=2_000_000)
    clock = CountingClock()
    meter = PowerMeter(clock, MetricsConfig(idle_w=1.5), tmp_path, DirectReader)
    for power in ("2000000", "nonsense", "4000000"):
        (chip / "power1_input").write_text(power)
        clock.advance(1.0)
        meter.tick()
    told = meter.sample()
    assert isinstance(told, Energy)
    assert (told.basis, told.covered_s, told.energy_j, told.power_w) == ("measured", 2.0, 6.0, 3.0)
    assert told.above_idle_j == pytest.approx(3.0)
    assert meter.sample() is None
    meter.close()
