"""Power by the Raspberry Pi 5's power chip: `vcgencmd pmic_read_adc` (raspberrypi.com/documentation, "vcgencmd").

It sees the rails behind the chip, so neither its own losses nor what hangs on 5 V: USB devices, HATs, the fan.
"""

from __future__ import annotations

import math
import re

from inferd.meters.vcgencmd import Vcgencmd
from inferd.records import Unavailable

_LINE = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=(-?[0-9.]+|-?nan)[AV]\s*$", re.MULTILINE)


def read_pmic(program: Vcgencmd) -> float | Unavailable:
    """Return the sum of all rails, in watts."""
    answer = program.ask("pmic_read_adc")
    if isinstance(answer, Unavailable):
        return answer
    try:
        return parse_pmic(answer)
    except ValueError as exc:
        return Unavailable(f"vcgencmd pmic_read_adc: {exc}; only a Raspberry Pi 5 has this chip")


def parse_pmic(answer: str) -> float:
    """Return the sum of current times voltage over all rails that report both; EXT5V and BATT report no current.

    Raises:
        ValueError: no rail tells both.
    """
    readings: dict[tuple[str, str], float] = {(rail, unit): float(value) for rail, unit, value in _LINE.findall(answer)}
    rails = sorted({rail for rail, _ in readings})
    watts = [readings.get((rail, "A"), math.nan) * readings.get((rail, "V"), math.nan) for rail in rails]
    known = [watt for watt in watts if math.isfinite(watt)]
    if not known:
        raise ValueError("no rail tells current and voltage")
    return sum(known)
