"""Judges power and heat of a Raspberry Pi, by what its firmware says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inferd.doctor.check import Check, Problem
from inferd.doctor.readers.world import World
from inferd.records import Unavailable

THROTTLED = re.compile(r"throttled=0x([0-9a-fA-F]+)")
# Bits of `vcgencmd get_throttled`: what is so now; 16 bits higher: what has been so since boot.
UNDER_VOLTAGE, CAPPED, SLOWED, SOFT_LIMIT = 0x1, 0x2, 0x4, 0x8
SINCE_BOOT = 16
SUPPLY = "use the board's own power supply and a short, thick cable"


@dataclass(frozen=True, slots=True)
class PowerFacts:
    """The firmware's word of bits; None where there is no such firmware."""

    word: int | None

    def now(self, bits: int) -> bool:
        """Whether one of these bits is set now."""
        return bool(self.word and self.word & bits)

    def seen(self, bits: int) -> bool:
        """Whether one of these bits has been set since boot."""
        return bool(self.word and self.word >> SINCE_BOOT & bits)


def read_power(world: World) -> PowerFacts | Unavailable:
    """Ask a Raspberry Pi's firmware; another board has nothing to ask."""
    ran = world.run("vcgencmd", "get_throttled") if "Raspberry Pi" in world.board else None
    if ran is None:
        return PowerFacts(None)
    found = THROTTLED.search(ran.out)
    if found is None:
        return Unavailable("vcgencmd does not answer; it needs group video: run the doctor with sudo")
    return PowerFacts(int(found[1], 16))


def judge_voltage(facts: PowerFacts) -> Iterator[Problem]:
    """Yield a fault where the voltage is too low, or was."""
    if facts.now(UNDER_VOLTAGE):
        yield Problem("the voltage is too low now", "power supply", SUPPLY)
    elif facts.seen(UNDER_VOLTAGE):
        yield Problem("the voltage has been too low since boot", "power supply", SUPPLY, "warning")


def judge_throttling(facts: PowerFacts) -> Iterator[Problem]:
    """Yield a fault where the processor is slowed down now, for another reason than the voltage."""
    if facts.now(CAPPED | SLOWED | SOFT_LIMIT) and not facts.now(UNDER_VOLTAGE):
        words = {
            CAPPED: "its frequency is capped",
            SLOWED: "it is throttled",
            SOFT_LIMIT: "it is at its soft temperature limit",
        }
        told = ", ".join(text for bit, text in words.items() if facts.now(bit))
        yield Problem(f"the processor is slowed down now: {told}", "processor", "fit a heat sink or a fan", "warning")


CHECKS = (
    Check(
        "power.under-voltage",
        "whether the voltage of a Raspberry Pi is too low, or has been since boot",
        "under-voltage slows the processor down, drops USB devices and damages the card",
        judge_voltage,
        (read_power,),
    ),
    Check(
        "power.throttled",
        "whether the processor of a Raspberry Pi is slowed down now",
        "every inference takes longer while it lasts",
        judge_throttling,
        (read_power,),
    ),
)
