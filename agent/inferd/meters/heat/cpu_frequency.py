"""Clock frequency of the processor. Format: the kernel's Documentation/admin-guide/pm/cpufreq.rst, in kHz."""

from __future__ import annotations

from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.records import Unavailable


class FrequencyMeter:
    """Measures the fastest core's clock. Owned by one thread; `close` closes the descriptors."""

    def __init__(self, root: Path = Path("/")) -> None:
        policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
        self._held = [HeldFile(policy / "scaling_cur_freq") for policy in policies]

    def sample(self) -> float | Unavailable:
        """Return MHz."""
        readings = [held.parsed(parse_mhz) for held in self._held]
        known = [reading for reading in readings if isinstance(reading, float)]
        if known:
            return max(known)
        told = next((reading for reading in readings if isinstance(reading, Unavailable)), None)
        return told or Unavailable("the kernel reports no clock frequency (a virtual machine has none)")

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        for held in self._held:
            held.close()


def parse_mhz(khz: bytes) -> float:
    """Return MHz from kHz."""
    return int(khz) / 1000
