"""Time for which the processor was throttled, by reason.

Formats: `vcgencmd get_throttled` (raspberrypi.com/documentation/computers/os.html, "get_throttled") and the file of the
same name that the Raspberry Pi kernel's drivers/firmware/raspberrypi.c has; hwmon's `in0_lcrit_alarm` of raspberrypi-hwmon
(Documentation/hwmon/raspberrypi-hwmon.rst); cooling devices (Documentation/driver-api/thermal/sysfs-api.rst); x86's
`thermal_throttle` (arch/x86/kernel/cpu/mce/therm_throt.c, today drivers/thermal/intel/therm_throt.c).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from inferd.meters.background import BackgroundReader, Reader, ReaderFactory
from inferd.meters.open_file import HeldFile
from inferd.meters.read_file import text
from inferd.meters.vcgencmd import Vcgencmd
from inferd.records import Unavailable
from inferd.system.clock import Clock

Reason = Literal["under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"]
Flags = Mapping[Reason, bool]

REASONS: tuple[Reason, ...] = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
"""Bits 0 to 3 of the firmware's word: the current state."""

_WORD = re.compile(r"throttled=0x([0-9a-fA-F]+)")
_COOLING = ("thermal-cpufreq", "cpufreq-cpu", "Processor")
_KERNEL_WORD = "sys/devices/platform/soc/soc:firmware/get_throttled"


class ThrottleMeter:
    """Adds up seconds by reason. `tick` comes about once a second; owned by one thread; `close` closes everything."""

    def __init__(
        self, clock: Clock, root: Path = Path("/"), slow_s: float = 5.0, slowly: ReaderFactory = BackgroundReader
    ) -> None:
        """Find the sources below `root`; the firmware is queried every `slow_s` seconds."""
        self._clock = clock
        self._firmware = _firmware(clock, root, slow_s, slowly)
        self._kernel = KernelFlags(root)
        self._before_ns = clock.monotonic_ns()
        self._flags: Flags | Unavailable | None = self._look()
        self._covered_s = 0.0
        self._seconds: dict[Reason, float] = {}
        self._slowed_s = 0.0

    def tick(self) -> None:
        """Read the state, and count the time since the last tick for each current reason."""
        now_ns = self._clock.monotonic_ns()
        passed_s, self._before_ns = (now_ns - self._before_ns) / 1e9, now_ns
        self._flags = flags = self._look()
        if flags is None or isinstance(flags, Unavailable):
            return
        self._covered_s += passed_s
        for reason, so in flags.items():
            self._seconds[reason] = self._seconds.get(reason, 0.0) + passed_s * so
        # Low voltage alone slows nothing: the firmware then also caps the frequency, and reports that.
        self._slowed_s += passed_s * any(so for reason, so in flags.items() if reason != "under_voltage")

    def sample(self) -> dict[str, float | Mapping[str, float] | Unavailable | None]:
        """Return throttled_s and throttled_by_s since the previous sample; reasons that are not reported are left out."""
        if not self._covered_s:
            why = self._flags if isinstance(self._flags, Unavailable) else None
            return {"throttled_s": why, "throttled_by_s": why}
        slows = set(self._seconds) - {"under_voltage"}
        told = self._slowed_s if slows else Unavailable("this device reports only low voltage, not throttling")
        by: Mapping[str, float] = {reason: seconds for reason, seconds in self._seconds.items()}  # noqa: C416 - widens the key
        self._covered_s = self._slowed_s = 0.0
        self._seconds = {}
        return {"throttled_s": told, "throttled_by_s": by}

    @property
    def now(self) -> bool | None:
        """Whether the processor is throttled or the voltage is too low now; None if unknown."""
        return any(self._flags.values()) if isinstance(self._flags, Mapping) else None

    @property
    def why(self) -> Unavailable | None:
        """Why nothing is known; None if something is."""
        return self._flags if isinstance(self._flags, Unavailable) else None

    def close(self) -> None:
        """Close everything. Idempotent."""
        self._kernel.close()
        if self._firmware is not None:
            self._firmware.close()

    def _look(self) -> Flags | Unavailable | None:
        kernel = self._kernel.read()
        firmware = self._firmware.latest() if self._firmware is not None else None
        if isinstance(firmware, Mapping):
            return {**kernel, **firmware}
        if kernel:
            return kernel
        if self._firmware is None:
            return Unavailable("neither the firmware nor the kernel reports throttling")
        return firmware


class KernelFlags:
    """Throttling by files of the kernel. Owned by one thread."""

    def __init__(self, root: Path) -> None:
        self._voltage = _voltage_alarm(root)
        self._cooling = [HeldFile(file) for file in _cooling_states(root)]
        self._counters = [HeldFile(file) for file in sorted(root.glob(f"{_CPU0}/*_throttle_count"))]
        self._before = self._count()

    def read(self) -> Flags:
        """Return the current state; empty if the kernel reports nothing."""
        flags: dict[Reason, bool] = {}
        alarm = self._voltage.parsed(int) if self._voltage is not None else None
        if isinstance(alarm, int):
            flags["under_voltage"] = alarm > 0
        states = [state for held in self._cooling if isinstance(state := held.parsed(int), int)]
        if states:
            flags["frequency_capped"] = any(states)
        if self._counters:
            before, self._before = self._before, self._count()
            flags["throttled"] = self._before > before
        return flags

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        for held in [*self._cooling, *self._counters, *([self._voltage] if self._voltage else [])]:
            held.close()

    def _count(self) -> int:
        return sum(count for held in self._counters if isinstance(count := held.parsed(int), int))


_CPU0 = "sys/devices/system/cpu/cpu0/thermal_throttle"


def parse_throttled(answer: str) -> Flags:
    """Return the reasons of "throttled=0x50005"; the upper half, what was so since boot, is left out.

    Raises:
        ValueError: no such word.
    """
    found = _WORD.search(answer)
    if found is None:
        raise ValueError(f"{answer!r} is not a word of bits")
    return flags_of(int(found[1], 16))


def flags_of(word: int) -> Flags:
    """Return the current state in the firmware's word."""
    return {reason: bool(word >> bit & 1) for bit, reason in enumerate(REASONS)}


def _firmware(clock: Clock, root: Path, slow_s: float, slowly: ReaderFactory) -> Reader[Flags] | None:
    program, word = Vcgencmd(root), root / _KERNEL_WORD
    if program.present:
        return slowly("vcgencmd get_throttled", lambda: _ask(program), slow_s, clock)
    if word.exists():  # this reads the firmware too
        held = HeldFile(word)
        return slowly("get_throttled", lambda: held.parsed(lambda told: flags_of(int(told, 16))), slow_s, clock)
    return None


def _ask(program: Vcgencmd) -> Flags | Unavailable:
    answer = program.ask("get_throttled")
    if isinstance(answer, Unavailable):
        return answer
    try:
        return parse_throttled(answer)
    except ValueError as exc:
        return Unavailable(f"vcgencmd get_throttled: {exc}")


def _voltage_alarm(root: Path) -> HeldFile | None:
    chips = sorted((root / "sys/class/hwmon").glob("hwmon*"))
    found = next((chip for chip in chips if text(chip / "name") == "rpi_volt"), None)
    return HeldFile(found / "in0_lcrit_alarm") if found else None


def _cooling_states(root: Path) -> list[Path]:
    devices = sorted((root / "sys/class/thermal").glob("cooling_device*"))
    return [device / "cur_state" for device in devices if text(device / "type").startswith(_COOLING)]
