"""Sticks are found in a made-up /sys, and switched there."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd.system import usb
from inferd.worker.children.usb_recovery import STICKS, mend


def plug_in(root: Path, port: str = "2-1", ids: str = "18d1:9302") -> Path:
    """Make a device as sysfs shows it."""
    folder = root / "sys/bus/usb/devices" / port
    (folder / "port").mkdir(parents=True)
    vendor, product = ids.split(":")
    for name, text in {"idVendor": vendor, "idProduct": product, "busnum": "2", "devnum": "5"}.items():
        (folder / name).write_text(f"{text}\n")
    (folder / "port" / "disable").write_text("0")
    (folder / "authorized").write_text("1")
    return folder


def no_pause(seconds: float) -> None:
    """Stand in for waiting."""
    assert seconds >= 0


def test_a_stick_is_found_by_its_ids(tmp_path: Path) -> None:
    plug_in(tmp_path)
    plug_in(tmp_path, "1-1.4", "046d:c077")
    (found,) = usb.find(STICKS, tmp_path / "sys", tmp_path / "dev")
    assert (found.port, found.node) == ("2-1", tmp_path / "dev/bus/usb/002/005")


def test_without_usb_there_is_no_stick(tmp_path: Path) -> None:
    assert usb.find(STICKS, tmp_path, tmp_path) == ()


def test_a_port_is_switched_off_and_on_again(tmp_path: Path) -> None:
    folder = plug_in(tmp_path)
    seen = []
    (stick,) = usb.find(STICKS, tmp_path / "sys", tmp_path / "dev")
    usb.power_cycle(stick, lambda _: seen.append((folder / "port/disable").read_text()))
    assert (seen, (folder / "port/disable").read_text()) == (["1"], "0")


def test_a_stick_that_cannot_be_reset_by_its_node_is_taken_off_the_bus(tmp_path: Path) -> None:
    plug_in(tmp_path)
    told = mend("usb_reset", no_pause, tmp_path / "sys", tmp_path / "dev")
    assert told == "the stick at 2-1 was taken off the bus and put back"


def test_a_step_that_the_kernel_refuses_is_told(tmp_path: Path) -> None:
    (plug_in(tmp_path) / "port" / "disable").unlink()
    (tmp_path / "sys/bus/usb/devices/2-1/port").rmdir()
    told = mend("port_power", no_pause, tmp_path / "sys", tmp_path / "dev")
    assert told == "the port 2-1 was without power for a moment: not done (No such file or directory)"


def test_where_no_stick_is_there_that_is_told(tmp_path: Path) -> None:
    assert mend("usb_reset", no_pause, tmp_path, tmp_path).startswith("there is no Coral stick on the bus")


def test_a_node_that_is_no_device_refuses_the_reset(tmp_path: Path) -> None:
    plug_in(tmp_path)
    (stick,) = usb.find(STICKS, tmp_path / "sys", tmp_path / "dev")
    stick.node.parent.mkdir(parents=True)
    stick.node.touch()
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        usb.reset(stick)
