"""Reads which file system a path lies on, and what swaps where. Formats: proc(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from inferd.doctor.readers.world import World

OCTAL = re.compile(r"\\([0-7]{3})")
COLUMNS = 4  # source, point, type, options; or path, type, size, used
CARD = re.compile(r"(?:/dev/)?(mmcblk\d+)")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    source: str
    point: str
    kind: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap space: a file or partition, its use in KiB, and the device it lies on."""

    path: str
    used_kib: int
    device: str


def mount_of(world: World, path: str) -> Mount | None:
    """Return the file system that a path lies on; the last one mounted at a place hides those before."""
    found = None
    for mount in _mounts(world):
        above = PurePosixPath(path).is_relative_to(mount.point)
        if above and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def swaps(world: World) -> tuple[Swap, ...]:
    """Return the swap spaces."""
    rows = _rows(world, "/proc/swaps")[1:]
    return tuple(Swap(_plain(row[0]), int(row[3]), _device(world, _plain(row[0]), row[1])) for row in rows)


def is_sd_card(world: World, device: str) -> bool:
    """Whether a block device is an SD card: the eMMC of a board has the same name but another type."""
    card = CARD.match(device)
    return bool(card) and world.read(f"/sys/block/{card[1] if card else ''}/device/type") in (None, "SD")


def _mounts(world: World) -> list[Mount]:
    rows = _rows(world, "/proc/mounts")
    return [Mount(_plain(row[0]), _plain(row[1]), row[2], frozenset(row[3].split(","))) for row in rows]


def _rows(world: World, table: str) -> list[list[str]]:
    """Return the lines of a table, split; both tables have at least these columns."""
    rows = (line.split() for line in (world.read(table) or "").splitlines())
    return [row for row in rows if len(row) >= COLUMNS]


def _device(world: World, path: str, kind: str) -> str:
    if kind == "partition":
        return path
    mount = mount_of(world, path)
    return mount.source if mount else ""


def _plain(field: str) -> str:
    return OCTAL.sub(lambda found: chr(int(found[1], 8)), field)
