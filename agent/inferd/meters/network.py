"""What goes over the network. Format: proc_pid_net(5), /proc/net/dev."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.records import Unavailable

_RECEIVED, _SENT = 0, 8


@dataclass(frozen=True, slots=True)
class NetworkBytes:
    """What all interfaces together have received and sent since boot."""

    received: int
    sent: int


class NetworkMeter:
    """Measures the traffic from its construction on. Owned by one thread; `close` closes the descriptor.

    Only interfaces that are devices count (they have `device` in /sys): bridges and tunnels carry the same octets again.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._held = HeldFile(root / "proc/net/dev")
        links = sorted((root / "sys/class/net").glob("*"))
        self._interfaces = frozenset(os.fsencode(link.name) for link in links if (link / "device").exists())
        self._began = self._octets()

    def sample(self) -> dict[str, float | Unavailable | None]:
        """Return network_received_mb and network_sent_mb since the construction."""
        now = self._octets()
        if isinstance(now, Unavailable):
            return {"network_received_mb": now, "network_sent_mb": now}
        if isinstance(self._began, Unavailable):
            self._began = now
        return {
            "network_received_mb": (now.received - self._began.received) / 1e6,
            "network_sent_mb": (now.sent - self._began.sent) / 1e6,
        }

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        self._held.close()

    def _octets(self) -> NetworkBytes | Unavailable:
        if not self._interfaces:
            return Unavailable("this device has no network interface of its own (containers have none)")
        return self._held.parsed(lambda dev: parse_octets(dev, self._interfaces))


def parse_octets(dev: bytes, interfaces: frozenset[bytes]) -> NetworkBytes:
    """Return the sums over these interfaces."""
    rows = [line.split(b":", 1) for line in dev.splitlines() if b":" in line]
    counts = [row.split() for name, row in rows if name.strip() in interfaces]
    return NetworkBytes(sum(int(row[_RECEIVED]) for row in counts), sum(int(row[_SENT]) for row in counts))
