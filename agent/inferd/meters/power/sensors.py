"""Power by a sensor on the board, or by its supply.

Formats: the kernel's Documentation/hwmon/{ina2xx,ina238,ina3221}.rst and sysfs-interface.rst (µW, mV, mA);
Documentation/ABI/testing/sysfs-bus-iio (mW) and sysfs-class-power (µW, µV, µA); NVIDIA Jetson Linux Developer Guide,
"Power Monitor" (names of the rails; before release 35 an IIO device with mW). A reading goes over I2C and takes 1 to 10 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inferd.meters.read_file import text
from inferd.records import Unavailable

CHIPS = ("ina209", "ina219", "ina220", "ina226", "ina228", "ina230", "ina231", "ina233", "ina237", "ina238", "ina260")
WHOLE_BOARD = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "VDD_INPUT")
"""Names of the rail of the whole board; the chip's other rails are parts of it."""

NEGOTIATED = ("ucsi-source-psy", "tcpm-source-psy")
"""Supplies that report what was negotiated with the charger, which is not a measurement."""

COUNTED_CHANNELS = 3  # of an INA3221; what it calls in4 to in6 are the shunts of the same three


@dataclass(frozen=True, slots=True)
class PowerSensor:
    """A meter: its name, and how to read it, in watts."""

    name: str
    read: Callable[[], float | Unavailable]


def find_sensor(root: Path) -> PowerSensor | None:
    """Return the board's power sensor; None if there is none."""
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        name = text(chip / "name")
        if name in CHIPS:
            return PowerSensor(name, partial(_read, partial(_single, chip), chip))
        if name == "ina3221":
            return PowerSensor(name, partial(_read, partial(_triple, chip), chip))
    for power in sorted(root.glob("sys/bus/iio/devices/iio:device*/in_power*_raw")):
        # Debian's kernel has ina2xx-adc and no hwmon driver for these chips.
        if (name := text(power.parent / "name")) in CHIPS:
            return PowerSensor(name, partial(_read, partial(_iio, power), power.parent))
    for chip in sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*")):
        return PowerSensor("ina3221x", partial(_read, partial(_old_jetson, chip), chip))
    return None


def find_supply(root: Path) -> PowerSensor | None:
    """Return a battery, or a USB supply that measures; None if there is none."""
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        kind = text(supply / "type")
        if kind not in ("Battery", "USB") or supply.name.startswith(NEGOTIATED) or not _measures(supply):
            continue
        return PowerSensor(f"{kind.lower()} {supply.name}", partial(_read, partial(_supply, supply), supply))
    return None


def _read(read: Callable[[], float | Unavailable], where: Path) -> float | Unavailable:
    try:
        return read()
    except OSError as exc:
        return Unavailable(f"{where} cannot be read ({exc.strerror})")
    except ValueError:
        return Unavailable(f"{where} has an unexpected format")


def _number(path: Path) -> int:
    return int(path.read_text())


def _single(chip: Path) -> float:
    power = chip / "power1_input"
    return _number(power) / 1e6 if power.exists() else _volts_times_amperes(chip, 1)


def _iio(power: Path) -> float:
    scale = power.with_name(power.name.removesuffix("raw") + "scale")
    return _number(power) * float(scale.read_text()) / 1e3


def _triple(chip: Path) -> float:
    """Return the rail of the whole board if one has such a name, else the sum of the three."""
    channels = [n for n in range(1, COUNTED_CHANNELS + 1) if _is_on(chip, n)]
    if not channels:
        raise ValueError("no channel is on")
    whole = [n for n in channels if text(chip / f"in{n}_label") in WHOLE_BOARD]
    return sum(_volts_times_amperes(chip, n) for n in whole[:1] or channels)


def _is_on(chip: Path, channel: int) -> bool:
    return (chip / f"curr{channel}_input").exists() and text(chip / f"in{channel}_enable") != "0"


def _volts_times_amperes(chip: Path, channel: int) -> float:
    return _number(chip / f"in{channel}_input") * _number(chip / f"curr{channel}_input") / 1e6


def _old_jetson(chip: Path) -> float:
    rails = {text(name): name.name.removeprefix("rail_name_") for name in sorted(chip.glob("rail_name_*"))}
    whole = [number for rail, number in rails.items() if rail in WHOLE_BOARD]
    if not rails:
        raise ValueError("no rail has a name")
    return sum(_number(chip / f"in_power{number}_input") for number in whole[:1] or rails.values()) / 1e3


def _measures(supply: Path) -> bool:
    return (supply / "power_now").exists() or ((supply / "current_now").exists() and (supply / "voltage_now").exists())


def _supply(supply: Path) -> float | Unavailable:
    if text(supply / "type") == "Battery" and text(supply / "status") != "Discharging":
        return Unavailable(f"{supply.name} is not discharging, so it does not measure the device")
    power = supply / "power_now"
    if power.exists():
        return abs(_number(power)) / 1e6
    return abs(_number(supply / "current_now") * _number(supply / "voltage_now")) / 1e12
