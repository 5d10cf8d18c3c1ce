"""USB devices as the kernel shows them: found by their ids, reset, and taken off their port's power for a moment.

Which of these works depends on rights: USBDEVFS_RESET needs write access to the device's node (a udev rule gives that),
the others need root. What the kernel refuses is an OSError.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

USBDEVFS_RESET = 0x5514  # _IO('U', 20) of linux/usbdevice_fs.h
SYS = Path("/sys")
DEV = Path("/dev")


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """A device on the bus.

    Attributes:
        port: where it is plugged in, as the kernel names it: "2-1", "1-1.4".
        folder: its folder below /sys/bus/usb/devices.
        node: its node below /dev/bus/usb.
    """

    port: str
    folder: Path
    node: Path


def find(ids: Collection[str], sys: Path = SYS, dev: Path = DEV) -> tuple[UsbDevice, ...]:
    """Return the devices that have one of these ids ("18d1:9302"), in the order of their ports."""
    found = []
    for folder in sorted((sys / "bus/usb/devices").glob("[0-9]*-*")):
        try:
            vendor, product = (_line(folder / name) for name in ("idVendor", "idProduct"))
            bus, number = (int(_line(folder / name)) for name in ("busnum", "devnum"))
        except (OSError, ValueError):  # an interface, or a device that has just gone
            continue
        if f"{vendor}:{product}" in ids:
            found.append(UsbDevice(folder.name, folder, dev / f"bus/usb/{bus:03d}/{number:03d}"))
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
    """Take a device's permission to be on the bus and give it back: the kernel forgets and learns it again.

    Raises:
        OSError: this user may not.
    """
    (device.folder / "authorized").write_text("0")
    (device.folder / "authorized").write_text("1")


def power_cycle(device: UsbDevice, pause: Callable[[float], None], off_s: float = 2.0) -> None:
    """Switch a device's port off and on again, where its hub can.

    Args:
        device: what is plugged into the port.
        pause: waits so many seconds.
        off_s: how long the port stays without power.

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
    return file.read_text().strip()
