"""Finds accelerators in sysfs. Opens no device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferd.accelerators.accelerator import Accelerator
from inferd.system import usb

USB3_MBPS = 5000


@dataclass(frozen=True, slots=True)
class AcceleratorDevice:
    """An accelerator that the kernel sees.

    Attributes:
        bus: "usb" or "pci".
        port: its name in sysfs, such as "2-1".
        node: its device node; "" if the driver made none.
        ready: whether its firmware is loaded (PCIe: always).
        speed_mbps: of its USB port; 0 for PCIe.
    """

    bus: str
    port: str
    node: str
    ready: bool = True
    speed_mbps: int = 0


def find_devices(accelerator: Accelerator, root: Path) -> tuple[AcceleratorDevice, ...]:
    """Return the devices of this kind, USB first. `root` is where /sys and /dev are; nodes are named without it."""
    return (*_usb_devices(accelerator, root), *_pci_devices(accelerator, root))


def _usb_devices(accelerator: Accelerator, root: Path) -> Iterator[AcceleratorDevice]:
    for one in usb.find(accelerator.usb_ids, root):
        node = f"/{one.node.relative_to(root)}"
        yield AcceleratorDevice("usb", one.port, node, one.id == accelerator.usb_ready, one.speed_mbps)


def _pci_devices(accelerator: Accelerator, root: Path) -> Iterator[AcceleratorDevice]:
    nodes = (
        sorted(node.name for node in (root / "dev").glob(f"{accelerator.device_node}*")) if accelerator.pci_id else []
    )
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        if f"{_hex(device / 'vendor')}:{_hex(device / 'device')}" == accelerator.pci_id:
            yield AcceleratorDevice("pci", device.name, f"/dev/{nodes.pop(0)}" if nodes else "")


def _hex(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip().removeprefix("0x")
    except OSError:
        return ""
