"""All meters of the device that the configuration switches on; the others are not created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from inferd.config import settings
from inferd.meters.background import BackgroundReader, ReaderFactory
from inferd.meters.disk import DiskMeter
from inferd.meters.heat.cpu_frequency import FrequencyMeter
from inferd.meters.heat.fan import FanMeter
from inferd.meters.heat.throttle import ThrottleMeter
from inferd.meters.network import NetworkMeter
from inferd.meters.power.meter import Energy, PowerMeter
from inferd.meters.system import SystemMeter
from inferd.records import Unavailable
from inferd.system.clock import Clock

TICK_S = 1.0
Reading = float | Mapping[str, float] | Unavailable | None
OFF = Unavailable("switched off by the configuration")


class Closable(Protocol):
    """Something that holds descriptors or a thread."""

    def close(self) -> None:
        """Release them. Idempotent."""


class DeviceMeter:
    """Measures the device from its construction on. Owned by one thread; `close` closes everything.

    Attributes:
        energy: what was drawn in the time of the last `sample`.
    """

    def __init__(
        self,
        clock: Clock,
        metrics: settings.MetricsConfig,
        folder: Path,
        root: Path = Path("/"),
        slowly: ReaderFactory = BackgroundReader,
    ) -> None:
        """Start the meters that `metrics` switches on, below `root`; free space is measured for the disk of `folder`."""
        self.energy: Energy | Unavailable | None = None
        self._clock = clock
        self._ticked_ns = clock.monotonic_ns()
        self._throttle = ThrottleMeter(clock, root, metrics.slow_s, slowly) if metrics.throttling else None
        self._power = PowerMeter(clock, metrics, root, slowly) if metrics.power != "off" else None
        self._disk = DiskMeter(folder, root) if metrics.disk else None
        self._system = SystemMeter(clock, root, temperature=metrics.temperature)
        self._closing: list[Closable] = [self._system]
        self._closing += [meter for meter in (self._throttle, self._power, self._disk) if meter is not None]
        self._samples = self._make_samples(metrics, root)

    def tick(self) -> None:
        """Sample what needs a sample every second; does nothing if called more often."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._ticked_ns < TICK_S * 1e9:
            return
        self._ticked_ns = now_ns
        if self._throttle is not None:
            self._throttle.tick()
        if self._power is not None:
            self._power.tick()

    def sample(self) -> dict[str, Reading]:
        """Return the readings of the group "system" since the previous sample."""
        readings: dict[str, Reading] = dict(self._system.sample())
        for sample in self._samples:
            readings.update(sample())
        self.energy = self._power.sample() if self._power is not None else OFF
        return {**readings, **_power(self.energy)}

    def unavailable(self) -> dict[str, Unavailable]:
        """Return metric → why this device cannot measure it; keeps the running sums."""
        readings = dict(self._system.sample())
        for sample in self._samples:
            if self._throttle is None or sample != self._throttle.sample:
                readings.update({name: told for name, told in sample().items() if isinstance(told, Unavailable)})
        whys = {name: told for name, told in readings.items() if isinstance(told, Unavailable)}
        if self._throttle is not None and self._throttle.why is not None:
            whys["throttled_s"] = self._throttle.why
        why_no_power = self._power.why if self._power is not None else OFF
        return {**whys, "power_w": why_no_power} if why_no_power is not None else whys

    @property
    def basis(self) -> str:
        """Whether power is "measured" or "estimated"; "" if neither."""
        return self._power.basis if self._power is not None else ""

    def glance(self) -> dict[str, float | None]:
        """Return the current values that alerts watch; None if unknown. Keeps the running sums."""
        throttled = self._throttle.now if self._throttle is not None else None
        room = self._disk.room()["disk_free_mb"] if self._disk is not None else None
        now = {**self._system.glance(), "disk_free_mb": room}
        return {
            **{name: value if isinstance(value, float) else None for name, value in now.items()},
            "throttled": None if throttled is None else float(throttled),
            "power_w": self._power.now_w if self._power is not None else None,
        }

    def close(self) -> None:
        """Close everything. Idempotent."""
        for meter in self._closing:
            meter.close()

    def _make_samples(self, metrics: settings.MetricsConfig, root: Path) -> list[Callable[[], Mapping[str, Reading]]]:
        samples: list[Callable[[], Mapping[str, Reading]]] = []
        if metrics.clock:
            frequency = FrequencyMeter(root)
            self._closing.append(frequency)
            samples.append(lambda: {"clock_mhz": frequency.sample()})
        if metrics.fan:
            fan = FanMeter(root)
            self._closing.append(fan)
            samples.append(fan.sample)
        if metrics.network:
            network = NetworkMeter(root)
            self._closing.append(network)
            samples.append(network.sample)
        if self._disk is not None:
            samples.append(self._disk.sample)
        if self._throttle is not None:
            samples.append(self._throttle.sample)
        return samples


def _power(energy: Energy | Unavailable | None) -> dict[str, Reading]:
    if energy is None or isinstance(energy, Unavailable):
        return {"power_w": energy}
    error_w = energy.power_w * energy.error if energy.error is not None else None
    return {"power_w": {energy.basis: energy.power_w}, "power_error_w": error_w}
