"""How it stands with the accelerator of one engine key: when to fall back, when to try again, and what to try. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
HEALTHY_S = 600.0  # an accelerator that served so long is tried again at once when it fails
Step = Literal["reopen", "usb_reset", "port_power", "alert"]
# What is done before an attempt, gentlest first; after the last one all attempts are plain again.
LADDER: tuple[Step, ...] = ("reopen", "reopen", "usb_reset", "port_power", "alert")


@dataclass(frozen=True, slots=True)
class AcceleratorStatus:
    """Whether the accelerator serves, and if not, why, and how often it was tried since.

    Attributes:
        why: why it does not serve; "" where it does, or was never tried.
        attempts: failed ones since it last served for long.
        retry_ns: when it is tried again, on the monotonic clock.
        up_ns: since when it serves; 0 where it does not.
    """

    why: str = ""
    attempts: int = 0
    retry_ns: int = 0
    up_ns: int = 0

    @property
    def down(self) -> bool:
        """Whether it does not serve although it should."""
        return bool(self.why)

    def due(self, now_ns: int) -> bool:
        """Whether it is time to try again."""
        return self.down and now_ns >= self.retry_ns

    @property
    def step(self) -> Step:
        """What to do before the next attempt."""
        index = self.attempts - 1
        return LADDER[index] if 0 <= index < len(LADDER) else "reopen"


def fell(before: AcceleratorStatus, why: str, now_ns: int) -> AcceleratorStatus:
    """Return how it stands after a failure: the pause doubles unless the accelerator had served for long."""
    healthy = before.up_ns > 0 and now_ns - before.up_ns > HEALTHY_S * 1e9
    attempts = 1 if healthy else before.attempts + 1
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempts - 1))
    return AcceleratorStatus(why, attempts, now_ns + int(pause_s * 1e9))


def rose(before: AcceleratorStatus, now_ns: int) -> AcceleratorStatus:
    """Return how it stands when the accelerator serves again; attempts count on until it has served for long."""
    return AcceleratorStatus("", before.attempts, 0, now_ns)
