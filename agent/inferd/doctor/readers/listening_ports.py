"""Reads who listens on which TCP port. Format: /proc/net/tcp, proc(5)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from inferd.doctor.readers.hardware import OURS, open_files, process_name
from inferd.doctor.readers.world import World

LISTEN = "0A"
IPV6_LOOPBACK = "00000000000000000000000001000000"


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A listening socket; `pid` is 0 where we may not see whose it is."""

    port: int
    pid: int = 0
    name: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is inferd's own."""
        return self.name.startswith(OURS)


def listeners(world: World, wanted: Collection[int]) -> tuple[ListeningSocket, ...]:
    """Return who listens on one of the wanted ports; nobody is looked for where nothing is wanted."""
    inodes = dict(_sockets(world, wanted)) if wanted else {}
    owners = dict(_owners(world, inodes)) if inodes else {}
    return tuple(ListeningSocket(port, *owners.get(inode, (0, ""))) for inode, port in inodes.items())


def is_reachable(world: World, port: int) -> bool:
    """Whether what listens on a port can be reached from other machines: on an address that is no loopback address."""
    return any(not (address.endswith("7F") or address == IPV6_LOOPBACK) for _, _, address in _addresses(world, (port,)))


def _sockets(world: World, wanted: Collection[int]) -> Iterator[tuple[str, int]]:
    """Yield inode and port of each listening socket on a wanted port."""
    yield from ((inode, port) for inode, port, _ in _addresses(world, wanted))


def _addresses(world: World, wanted: Collection[int]) -> Iterator[tuple[str, int, str]]:
    """Yield inode, port and address of each listening socket on a wanted port; the address as /proc/net/tcp has it."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in (line.split() for line in (world.read(table) or "").splitlines()[1:]):
            if len(row) > 9 and row[3] == LISTEN and (port := int(row[1].rpartition(":")[2], 16)) in wanted:  # noqa: PLR2004 - inode is field 9
                yield row[9], port, row[1].rpartition(":")[0]


def _owners(world: World, inodes: Collection[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    for process in world.at("/proc").glob("[0-9]*"):
        for inode in inodes:
            if f"socket:[{inode}]" in open_files(process):
                yield inode, (int(process.name), process_name(process))
