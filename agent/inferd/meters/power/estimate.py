"""Power without a meter: interpolated by processor time between the known idle and full load of a board.

An estimate for comparing settings on one board, no measurement: it does not see a camera, a radio, a USB accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.meters.system import CpuTicks, parse_cpu_ticks
from inferd.records import Unavailable


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A board: watts idle, watts that each busy core adds, how far off both may be, and who measured.

    Attributes:
        board: how the firmware's name for it begins.
        idle_w: with nothing to do, network connected, no screen.
        core_w: added by each core that is busy.
        error: share (0..1) by which an estimate may be wrong.
        source: where the figures come from.
    """

    board: str
    idle_w: float
    core_w: float
    error: float
    source: str


PIDRAMBLE = "pidramble.com/wiki/benchmarks/power-consumption: idle, and `stress --cpu 4`"
# A quarter: chipwired.com/raspberry-pi-power-use (36 measurements of a Pi 4) finds 17 % less than PiDramble at both ends.
BOARDS = (
    Coefficients("Raspberry Pi 4 Model B", 2.7, (6.4 - 2.7) / 4, 0.25, PIDRAMBLE),
    Coefficients("Raspberry Pi 3 Model B Plus", 1.9, (5.1 - 1.9) / 4, 0.25, PIDRAMBLE),
    Coefficients("Raspberry Pi 3 Model B", 1.4, (3.7 - 1.4) / 4, 0.25, PIDRAMBLE),
    Coefficients(
        "Raspberry Pi Zero 2 W",
        0.6,
        (1.2 + 1.4 - 0.6) / 4,
        0.35,
        "idle: cnx-software.com/2021/12/09/raspberry-pi-zero-2-w-power-consumption; busy: 1.4 W above a Zero W"
        " (andrejacobs.org), which PiDramble has at 1.2 W",
    ),
)
"""The first match counts. A Pi 5 and a Jetson have meters; no published figures split the Coral Dev Board into idle and cores."""

GIVEN_ERROR = 0.1  # of coefficients that the user measured


def find_coefficients(board: str, idle_w: float = 0.0, core_w: float = 0.0) -> Coefficients | Unavailable:
    """Return the coefficients of a board; configured ones (both above 0) come first."""
    if idle_w > 0 and core_w > 0:
        return Coefficients(board, idle_w, core_w, GIVEN_ERROR, "configuration")
    known = next((row for row in BOARDS if board.startswith(row.board)), None)
    return known or Unavailable(
        f"there is no power meter, and no known figures for {board or 'this machine'};"
        " measure it and set metrics.idle_w and metrics.core_w"
    )


def estimate_w(known: Coefficients, busy_cores: float) -> float:
    """Return watts for this many busy cores."""
    return known.idle_w + busy_cores * known.core_w


class PowerModel:
    """Watts since the previous reading. Owned by one thread; `close` closes the descriptor."""

    def __init__(self, known: Coefficients, root: Path) -> None:
        self._known = known
        self._stat = HeldFile(root / "proc/stat")
        self._before = self._stat.parsed(parse_load)

    def watts(self) -> float | Unavailable | None:
        """Return the estimate since the previous reading; None if that is too soon."""
        before, now = self._before, self._stat.parsed(parse_load)
        if isinstance(now, Unavailable):
            return now
        if isinstance(before, Unavailable):
            self._before = now
            return None
        if now.ticks.total <= before.ticks.total:
            return None
        self._before = now
        return estimate_w(self._known, busy_cores(before.ticks, now))

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        self._stat.close()


@dataclass(frozen=True, slots=True)
class Load:
    """Ticks of all cores, and how many cores there are."""

    ticks: CpuTicks
    cores: int


def parse_load(stat: bytes) -> Load:
    """Return ticks and cores of /proc/stat."""
    return Load(parse_cpu_ticks(stat), max(1, stat.count(b"\ncpu")))


def busy_cores(before: CpuTicks, now: Load) -> float:
    """Return how many cores were busy between two readings, 0 to all of them."""
    share = (now.ticks.busy - before.busy) / (now.ticks.total - before.total)
    return min(max(share, 0.0), 1.0) * now.cores
