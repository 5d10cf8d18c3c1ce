"""Reads devices: what is plugged in, who may use it, and who does. Formats: sysfs and procfs of the Linux kernel."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferd.accelerators.devices import USB3_MBPS
from inferd.doctor.readers.world import User, World

# What bcm2835-unicam (Pi 0 to 4) and rp1-cfe (Pi 5) were given as sensors: i2c device names of the kernel's drivers.
SENSORS = re.compile(r"(imx(219|258|283|290|296|327|378|415|462|477|500|519|708)|ov(5647|64a40|7251|9281|9782))\b")
OURS = "inferd"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a device open."""

    pid: int
    name: str

    @property
    def ours(self) -> bool:
        """Whether it is one of inferd's own."""
        return self.name.startswith(OURS)


def has_usb3(world: World) -> bool:
    """Whether there is a port of USB 3: its root hub tells."""
    hubs = world.at("/sys/bus/usb/devices").glob("usb*/speed")
    return any(_number(_text(hub)) >= USB3_MBPS for hub in hubs)


def find_sensors(world: World) -> tuple[str, ...]:
    """Return the names of camera sensors on the CSI connector."""
    names = world.at("/sys/bus/i2c/devices").glob("*/name")
    return tuple(sorted({found[1] for name in names if (found := SENSORS.match(_text(name)))}))


VIDEO4LINUX = 81  # the major number, Documentation/admin-guide/devices.txt of the Linux kernel


def may_be_camera(node: Path) -> bool:
    """Whether a device file is one of Video4Linux; what is no device file at all is not judged here."""
    found = node.stat()
    return not stat.S_ISCHR(found.st_mode) or os.major(found.st_rdev) == VIDEO4LINUX


def find_cameras(world: World) -> tuple[str, ...]:
    """Return the video devices of USB cameras, by the name that stays the same: the first of each camera."""
    by_id = sorted(link.name for link in world.at("/dev/v4l/by-id").glob("*-index0"))
    if by_id and all(map(str.isprintable, by_id)):  # a configuration file cannot hold other names
        return tuple(f"/dev/v4l/by-id/{name}" for name in by_id)
    usb = [node for node in world.at("/sys/class/video4linux").glob("video*") if _is_usb_camera(node)]
    return tuple(f"/dev/{node.name}" for node in sorted(usb))


def may_use(path: Path, user: User) -> bool:
    """Whether a user may read and write a file, by its mode; our own rights by asking the kernel, which knows more."""
    if user.uid == os.geteuid():
        return os.access(path, os.R_OK | os.W_OK)
    return user.uid == 0 or _permits(path, user, stat.S_IROTH | stat.S_IWOTH)


def may_fill(folder: Path, user: User) -> bool:
    """Whether a user may make files in a folder."""
    if user.uid == os.geteuid():
        return os.access(folder, os.W_OK | os.X_OK)
    return user.uid == 0 or _permits(folder, user, stat.S_IWOTH | stat.S_IXOTH)


def may_read(path: Path, user: User) -> bool:
    """Whether a user may read a file."""
    if user.uid == os.geteuid():
        return os.access(path, os.R_OK)
    return user.uid == 0 or _permits(path, user, stat.S_IROTH)


def holders(world: World, node: str) -> tuple[Holder, ...]:
    """Return who has a device file open, as far as we may look."""
    return tuple(_holders(world, os.path.realpath(world.at(node))))


def open_files(process: Path) -> frozenset[str]:
    """Return what a process of /proc has open; nothing of another user's."""
    return frozenset(_open_files(process))


def process_name(process: Path) -> str:
    """Return what a process of /proc is called; every process of inferd's is "inferd", whatever its interpreter is."""
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")[:3]
    except OSError:
        arguments = []
    ours = any(Path(os.fsdecode(one)).name in (OURS, "inferd.cli") or one.startswith(b"inferd.") for one in arguments)
    return OURS if ours else _text(process / "comm")


def _is_usb_camera(node: Path) -> bool:
    return _text(node / "index") == "0" and (node / "device" / "bInterfaceNumber").exists()


def _permits(path: Path, user: User, others: int) -> bool:
    """Whether the mode gives a user these bits (named as those for others) as owner, as member, or as anyone."""
    info = path.stat()
    if info.st_uid == user.uid:
        wanted = others << 6
    elif info.st_gid in user.gids:
        wanted = others << 3
    else:
        wanted = others
    return info.st_mode & wanted == wanted


def _holders(world: World, node: str) -> Iterator[Holder]:
    for process in world.at("/proc").glob("[0-9]*"):
        if node in open_files(process):
            yield Holder(int(process.name), process_name(process))


def _open_files(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):  # another user's, or ended by now
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):  # closed by now
                yield os.readlink(link)  # noqa: PTH115 - sockets have names that are no paths


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(text: str) -> int:
    """Return a sysfs number; USB's low speed is "1.5"."""
    whole = text.strip().partition(".")[0]
    return int(whole) if whole.isdigit() else 0
