"""Speed of the fan. Format: the kernel's Documentation/hwmon/sysfs-interface.rst (rpm; pwm 0..255)."""

from __future__ import annotations

from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.records import Unavailable

FULL_PWM = 255


class FanMeter:
    """Measures the first fan that has a tachometer or is controlled. Owned by one thread; `close` closes the descriptors."""

    def __init__(self, root: Path = Path("/")) -> None:
        folder = root / "sys/class/hwmon"
        self._rpm = _first(folder, "fan*_input")
        self._pwm = _first(folder, "pwm[0-9]")

    def sample(self) -> dict[str, float | Unavailable | None]:
        """Return fan_rpm and fan_pct."""
        return {
            "fan_rpm": self._rpm.parsed(int) if self._rpm else Unavailable("no fan reports its speed"),
            "fan_pct": self._pwm.parsed(parse_pct) if self._pwm else Unavailable("the kernel controls no fan"),
        }

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        for held in (self._rpm, self._pwm):
            if held is not None:
                held.close()


def parse_pct(pwm: bytes) -> float:
    """Return the fan's duty cycle, 0..100.

    Raises:
        ValueError: no number, or one out of range.
    """
    value = int(pwm)
    if not 0 <= value <= FULL_PWM:
        raise ValueError(f"{value} is out of range")
    return 100 * value / FULL_PWM


def _first(folder: Path, pattern: str) -> HeldFile | None:
    found = sorted(folder.glob(f"hwmon*/{pattern}"))
    return HeldFile(found[0]) if found else None
