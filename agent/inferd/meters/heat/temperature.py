"""Temperature of the processor.

Formats: the kernel's Documentation/driver-api/thermal/sysfs-api.rst and Documentation/hwmon/sysfs-interface.rst; both
tell thousandths of a degree.
"""

from __future__ import annotations

from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.records import Unavailable

ZONES = ("cpu-thermal", "soc-thermal", "cpu-therm", "x86-pkg-temp")
"""What kernels call the processor's thermal zone, best first: Raspberry Pi and i.MX 8M, other SoCs, Jetson, Intel."""

HWMON = {"coretemp": "Package id 0", "k10temp": "Tctl", "zenpower": "Tdie", "cpu_thermal": ""}
"""Drivers of processor sensors, and the label of the sensor that stands for all; "" for the first."""

COLDEST_C, HOTTEST_C = -40.0, 150.0  # beyond the specification of these sensors: values outside are invalid


class ThermalMeter:
    """Measures the processor's temperature. Owned by one thread; `close` closes the descriptor."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Find the sensor below `root`."""
        sensor = find_sensor(root)
        self._held = HeldFile(sensor) if isinstance(sensor, Path) else None
        self._why = sensor if isinstance(sensor, Unavailable) else None

    def sample(self) -> float | Unavailable:
        """Return degrees Celsius."""
        if self._held is None:
            return self._why or Unavailable("no sensor")
        return self._held.parsed(parse_celsius)

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        if self._held is not None:
            self._held.close()


def find_sensor(root: Path) -> Path | Unavailable:
    """Return the file that holds the processor's temperature."""
    return (
        _zone(root / "sys/class/thermal")
        or _hwmon(root / "sys/class/hwmon")
        or Unavailable(
            "neither a thermal zone nor a hwmon sensor of the processor is there (a virtual machine has none)"
        )
    )


def parse_celsius(text: bytes) -> float:
    """Return degrees from thousandths.

    Raises:
        ValueError: no number, or no temperature that a working processor has.
    """
    celsius = int(text) / 1000
    if not COLDEST_C <= celsius <= HOTTEST_C:
        raise ValueError(f"{celsius} °C is not a processor temperature")
    return celsius


def _zone(folder: Path) -> Path | None:
    zones: dict[str, Path] = {}
    for zone in sorted(folder.glob("thermal_zone*")):
        zones.setdefault(_text(zone / "type").lower().replace("_", "-"), zone)
    known = [name for name in ZONES if name in zones]
    likely = sorted(name for name in zones if name.startswith(("cpu", "soc")))
    return zones[(known or likely)[0]] / "temp" if known or likely else None


def _hwmon(folder: Path) -> Path | None:
    for chip in sorted(folder.glob("hwmon*")):
        label = HWMON.get(_text(chip / "name"))
        if label is None:
            continue
        inputs = sorted(chip.glob("temp*_input"))
        labelled = [one for one in inputs if label and _text(chip / one.name.replace("_input", "_label")) == label]
        if labelled or inputs:
            return (labelled or inputs)[0]
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
