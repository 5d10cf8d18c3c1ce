"""Power of the device: by a meter if there is one, else by an estimate; the reading says which.

Meters are tried in this order: a sensor on the board (it sees everything), the Pi 5's power chip, a battery that
discharges, an x86 processor's own counters, the model of the board.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inferd.config import settings
from inferd.meters.background import BackgroundReader, ReaderFactory
from inferd.meters.power.estimate import PowerModel, find_coefficients
from inferd.meters.power.firmware import read_pmic
from inferd.meters.power.rapl import Rapl, find_zones
from inferd.meters.power.sensors import PowerSensor, find_sensor, find_supply
from inferd.meters.read_file import text
from inferd.meters.vcgencmd import Vcgencmd
from inferd.records import Unavailable
from inferd.system.clock import Clock

Basis = Literal["measured", "estimated"]
BASES: tuple[Basis, ...] = ("measured", "estimated")


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy over some time.

    Attributes:
        basis: "measured" or "estimated"; figures of different bases are never added or compared.
        source: the meter, or the model and who gave its coefficients.
        covered_s: of how much time something is known.
        energy_j: drawn in that time.
        error: share (0..1) by which an estimate may be wrong; None for a meter.
        idle_w: what the device draws with nothing to do; None where nobody said.
    """

    basis: Basis
    source: str
    covered_s: float
    energy_j: float
    error: float | None
    idle_w: float | None

    @property
    def power_w(self) -> float:
        """The mean over the time."""
        return self.energy_j / self.covered_s

    @property
    def above_idle_j(self) -> float | None:
        """The energy beyond that of the idle device; None if unknown."""
        return None if self.idle_w is None else self.energy_j - self.idle_w * self.covered_s


@dataclass(frozen=True, slots=True)
class PowerSource:
    """A source of watts: how to read them (since the previous reading), and how to close it."""

    basis: Basis
    name: str
    watts: Callable[[], float | Unavailable | None]
    close: Callable[[], None]
    error: float | None = None
    idle_w: float | None = None


class PowerMeter:
    """Adds up energy. `tick` comes about once a second; owned by one thread; `close` closes everything."""

    def __init__(
        self,
        clock: Clock,
        metrics: settings.MetricsConfig,
        root: Path = Path("/"),
        slowly: ReaderFactory = BackgroundReader,
    ) -> None:
        """Find the meter below `root`, as `metrics.power` says."""
        self._clock = clock
        self._source = find_source(clock, metrics, root, slowly)
        self._before_ns = clock.monotonic_ns()
        self._covered_s = self._energy_j = 0.0
        self._now: float | Unavailable | None = self._source if isinstance(self._source, Unavailable) else None

    @property
    def now_w(self) -> float | None:
        """Watts at the last tick; None if unknown."""
        return self._now if isinstance(self._now, float) else None

    @property
    def basis(self) -> str:
        """Whether watts are "measured" or "estimated"; "" if there are none."""
        return self._source.basis if isinstance(self._source, PowerSource) else ""

    @property
    def why(self) -> Unavailable | None:
        """Why nothing is known; None if something is."""
        return self._now if isinstance(self._now, Unavailable) else None

    def tick(self) -> None:
        """Read, and add the energy since the last tick."""
        now_ns = self._clock.monotonic_ns()
        passed_s, self._before_ns = (now_ns - self._before_ns) / 1e9, now_ns
        if isinstance(self._source, Unavailable):
            return
        self._now = self._source.watts()
        if isinstance(self._now, float):
            self._covered_s += passed_s
            self._energy_j += self._now * passed_s

    def sample(self) -> Energy | Unavailable | None:
        """Return the energy since the previous sample; None if that is too soon."""
        if isinstance(self._source, Unavailable) or not self._covered_s:
            return self.why
        source = self._source
        told = Energy(source.basis, source.name, self._covered_s, self._energy_j, source.error, source.idle_w)
        self._covered_s = self._energy_j = 0.0
        return told

    def close(self) -> None:
        """Close everything. Idempotent."""
        if isinstance(self._source, PowerSource):
            self._source.close()


def find_source(
    clock: Clock, metrics: settings.MetricsConfig, root: Path, slowly: ReaderFactory
) -> PowerSource | Unavailable:
    """Return the configured meter, or the first that exists."""
    idle_w = metrics.idle_w or None

    def slow(found: PowerSensor | None) -> PowerSource | None:
        if found is None:
            return None
        reader = slowly(f"power {found.name}", found.read, metrics.slow_s, clock)
        return PowerSource("measured", found.name, reader.latest, reader.close, idle_w=idle_w)

    finders: dict[str, Callable[[], PowerSource | Unavailable | None]] = {
        "sensor": lambda: slow(find_sensor(root)),
        "pmic": lambda: slow(_pmic(root)),
        "supply": lambda: slow(find_supply(root)),
        "rapl": lambda: _rapl(clock, root, idle_w),
        "estimate": lambda: _model(metrics, root),
    }
    wanted = finders if metrics.power == "auto" else {metrics.power: finders[metrics.power]}
    found: PowerSource | Unavailable | None = None
    for find in wanted.values():
        found = find()
        if isinstance(found, PowerSource):
            return found
    return found or Unavailable(f'this device has no meter for metrics.power = "{metrics.power}"; use "auto"')


def _pmic(root: Path) -> PowerSensor | None:
    program = Vcgencmd(root)
    if not (program.present and text(root / "proc/device-tree/model").startswith("Raspberry Pi 5")):
        return None
    return PowerSensor("pmic", lambda: read_pmic(program))


def _rapl(clock: Clock, root: Path, idle_w: float | None) -> PowerSource | Unavailable | None:
    counted, zones = find_zones(root)
    if not zones:
        return None
    rapl = Rapl(zones, clock)
    refused = rapl.watts()
    if isinstance(refused, Unavailable):
        rapl.close()
        return refused
    return PowerSource("measured", f"rapl {counted}", rapl.watts, rapl.close, idle_w=idle_w)


def _model(metrics: settings.MetricsConfig, root: Path) -> PowerSource | Unavailable:
    known = find_coefficients(text(root / "proc/device-tree/model"), metrics.idle_w, metrics.core_w)
    if isinstance(known, Unavailable):
        return known
    model = PowerModel(known, root)
    return PowerSource("estimated", f"model of {known.board}", model.watts, model.close, known.error, known.idle_w)
