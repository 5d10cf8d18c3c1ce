"""Power by the counters of an x86 processor. Format: the kernel's Documentation/power/powercap/powercap.rst (µJ).

`psys` counts the whole platform where there is one; else the packages are added up, which leaves out disks and screens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.meters.read_file import text
from inferd.records import Unavailable
from inferd.system.clock import Clock


@dataclass(frozen=True, slots=True)
class RaplZone:
    """A counter, and the value after which it wraps to 0."""

    held: HeldFile
    range_uj: int


class Rapl:
    """Watts since the previous reading. Owned by one thread; `close` closes the descriptors."""

    def __init__(self, zones: list[RaplZone], clock: Clock) -> None:
        self._zones = zones
        self._clock = clock
        self._before: list[int] = []
        self._before_ns = 0

    def watts(self) -> float | Unavailable | None:
        """Return the mean since the previous reading; None at the first."""
        now_ns = self._clock.monotonic_ns()
        counters = []
        for zone in self._zones:
            counter = zone.held.parsed(int)
            if isinstance(counter, Unavailable):
                self._before = []
                return Unavailable(f"{counter.why}; only root may read it, since CVE-2020-8694")
            counters.append(counter)
        before, before_ns = self._before, self._before_ns
        self._before, self._before_ns = counters, now_ns
        if not before or now_ns <= before_ns:
            return None
        pairs = zip(before, counters, self._zones, strict=True)
        used_uj = sum((now - then) % (zone.range_uj + 1) for then, now, zone in pairs)
        return used_uj * 1e3 / (now_ns - before_ns)

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        for zone in self._zones:
            zone.held.close()


def find_zones(root: Path) -> tuple[str, list[RaplZone]]:
    """Return what is counted ("platform" or "packages") and its zones; none where there are no counters."""
    folders = [zone for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")) if zone.name.count(":") == 1]
    whole = [zone for zone in folders if text(zone / "name") == "psys"]
    packages = [zone for zone in folders if text(zone / "name").startswith("package")]
    zones = [
        RaplZone(HeldFile(zone / "energy_uj"), int(text(zone / "max_energy_range_uj") or 2**32))
        for zone in whole[:1] or packages
    ]
    return ("platform" if whole else "packages"), zones
