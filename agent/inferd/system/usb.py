"""USB devices in sysfs: find them by id, reset them, switch the power of their port.

USBDEVFS_RESET needs write access to the device node (a udev rule gives that); the other actions need root. What the
kernel refuses is an OSError.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

USBDEVFS_RESET = 0x5514  # _IO('U', 20) of linux/usbdevice_fs.h


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """A device on the bus.

    Attributes:
        id: vendor and product, "18d1:9302".
        port: its name in the kernel: "2-1", "1-1.4".
        folder: its folder below /sys/bus/usb/devices.
        node: its node below /dev/bus/usb.
        speed_mbps: 0 if unknown; 1 for low speed (1.5).
    """

    id: str
    port: str
    folder: Path
    node: Path
    speed_mbps: int


def find(ids: Collection[str], root: Path = Path("/")) -> tuple[UsbDevice, ...]:
    """Return the devices that have one of these ids ("18d1:9302"), sorted by port. `root` is where /sys and /dev are."""
    found = []
    for folder in sorted((root / "sys/bus/usb/devices").glob("[0-9]*-*")):
        name = f"{_line(folder / 'idVendor')}:{_line(folder / 'idProduct')}"
        bus, number = (_number(folder / field) for field in ("busnum", "devnum"))
        if name in ids and bus and number:  # else an interface, or a device that was just unplugged
            node = root / f"dev/bus/usb/{bus:03d}/{number:03d}"
            found.append(UsbDevice(name, folder.name, folder, node, _number(folder / "speed")))
    return tuple(found)


def reset(device: UsbDevice) -> None:
    """Have the kernel reset a device, as if it had been plugged in again.

    Raises:
        OSError: this user may not, or the device does not answer.
    """
    fd = os.open(device.node, os.O_WRONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, USBDEVFS_RESET, 0)
    finally:
        os.close(fd)


def reauthorize(device: UsbDevice) -> None:
    """Revoke a device's permission to be on the bus and grant it again, so that the kernel enumerates it anew.

    Raises:
        OSError: this user may not.
    """
    (device.folder / "authorized").write_text("0")
    (device.folder / "authorized").write_text("1")


def power_cycle(device: UsbDevice, pause: Callable[[float], None], off_s: float = 2.0) -> None:
    """Switch the power of a device's port off and on again, if its hub can.

    Args:
        device: what is plugged into the port.
        pause: waits so many seconds.
        off_s: how long the port stays off.

    Raises:
        OSError: this user may not, or the kernel (before 6.0) or the hub has no such switch.
    """
    switch = device.folder / "port" / "disable"
    switch.write_text("1")
    try:
        pause(off_s)
    finally:
        switch.write_text("0")


def _line(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int:
    whole = _line(file).partition(".")[0]  # low speed is "1.5"
    return int(whole) if whole.isdecimal() else 0
