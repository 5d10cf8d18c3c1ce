"""Sensors as the kernel shows them below /sys/bus/iio/devices: which there are, their channels, what their numbers mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from inferd.errors import SourceError

DEVICES = Path("/sys/bus/iio/devices")
DEV = Path("/dev")


@dataclass(frozen=True, slots=True)
class IioChannel:
    """One value of a sensor: its file, and what its number means."""

    name: str
    file: Path
    scale: float
    offset: float


def find_device(named: str, root: Path) -> Path:
    """Return the folder of the sensor that has this name or is this folder.

    Raises:
        SourceError: there is none.
    """
    if "/" in named and Path(named).is_dir():
        return Path(named)
    there = {folder: text(folder / "name") for folder in sorted(root.glob("iio:device*"))}
    for folder, name in there.items():
        if named in (name, folder.name):
            return folder
    known = ", ".join(f"{name or '?'} ({folder.name})" for folder, name in there.items()) or "none at all"
    raise SourceError(named, f"there is no such sensor in {root}; there is {known}")


def channel_names(folder: Path) -> dict[str, str]:
    """Return the channels that can be read one by one, by name, and "raw" or "input" for what they give."""
    return {
        match[1]: match[2]
        for file in sorted(folder.glob("in_*"))
        if (match := re.fullmatch(r"in_(.+)_(raw|input)", file.name))
    }


def find_channels(folder: Path, wanted: tuple[str, ...]) -> list[IioChannel]:
    """Return the channels that are wanted, in this order; all, sorted by name, where none is named.

    Raises:
        SourceError: one does not exist, or there is none.
    """
    found = channel_names(folder)
    missing = [name for name in wanted if name not in found]
    if missing or not found:
        known = ", ".join(found) or "none"
        raise SourceError(folder.name, f"has no channel {', '.join(missing) or 'that can be read'}; there is {known}")
    return [_channel(folder, name, ready=found[name] == "input") for name in wanted or found]


def meaning(folder: Path, name: str) -> tuple[float, float]:
    """Return scale and offset of a channel: its own, or those that its kind shares."""
    scale, offset = (_number(folder, name, what) for what in ("scale", "offset"))
    return 1.0 if scale is None else scale, offset or 0.0


def kind_of(name: str) -> str:
    """Return what a channel measures: "accel" of "accel_x", "voltage" of "voltage3"."""
    kind = re.match("[a-z]+", name)
    return kind[0] if kind else name


def number(file: Path) -> float | None:
    """Return the number that a file holds; None where it holds none."""
    try:
        return float(text(file))
    except ValueError:
        return None


def text(file: Path) -> str:
    """Return what a sysfs file says, "" where it cannot be read."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _channel(folder: Path, name: str, *, ready: bool) -> IioChannel:
    if ready:
        return IioChannel(name, folder / f"in_{name}_input", 1.0, 0.0)
    return IioChannel(name, folder / f"in_{name}_raw", *meaning(folder, name))


def _number(folder: Path, name: str, what: str) -> float | None:
    own = number(folder / f"in_{name}_{what}")
    return number(folder / f"in_{kind_of(name)}_{what}") if own is None else own
