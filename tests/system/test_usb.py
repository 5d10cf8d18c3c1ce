"""USB devices in a made-up /sys: found, reset, switched off and on."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd.accelerators.edgetpu import EDGETPU, STICK
from inferd.accelerators.usb_recovery import cut_port_power, reset
from inferd.system import usb

STICKS = EDGETPU.usb_ids


def plug_in(root: Path, port: str = "2-1", ids: str = "18d1:9302") -> Path:
    """Make a device as sysfs shows it."""
    folder = root / "sys/bus/usb/devices" / port
    (folder / "port").mkdir(parents=True)
    vendor, product = ids.split(":")
    texts = {"idVendor": vendor, "idProduct": product, "busnum": "2", "devnum": "5", "speed": "480"}
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n")
    (folder / "port" / "disable").write_text("0")
    (folder / "authorized").write_text("1")
    return folder


def no_pause(seconds: float) -> None:
    """Do not wait."""
    assert seconds >= 0


def test_a_stick_is_found_by_its_ids(tmp_path: Path) -> None:
    plug_in(tmp_path)
    plug_in(tmp_path, "1-1.4", "046d:c077")
    (found,) = usb.find(STICKS, tmp_path)
    assert (found.id, found.port, found.speed_mbps) == ("18d1:9302", "2-1", 480)
    assert found.node == tmp_path / "dev/bus/usb/002/005"


def test_a_device_without_numbers_is_skipped(tmp_path: Path) -> None:
    (plug_in(tmp_path) / "devnum").unlink()
    assert usb.find(STICKS, tmp_path) == ()


def test_foreign_bytes_in_sysfs_do_not_raise(tmp_path: Path) -> None:
    (plug_in(tmp_path, "1-1") / "idVendor").write_bytes(b"\xff\xfe")
    plug_in(tmp_path)
    assert [one.port for one in usb.find(STICKS, tmp_path)] == ["2-1"]


def test_without_usb_there_is_no_stick(tmp_path: Path) -> None:
    assert usb.find(STICKS, tmp_path) == ()


def test_a_port_is_switched_off_and_on_again(tmp_path: Path) -> None:
    folder = plug_in(tmp_path)
    seen = []
    (stick,) = usb.find(STICKS, tmp_path)
    usb.power_cycle(stick, lambda _: seen.append((folder / "port/disable").read_text()))
    assert (seen, (folder / "port/disable").read_text()) == (["1"], "0")


def test_a_stick_that_cannot_be_reset_by_its_node_is_taken_off_the_bus(tmp_path: Path) -> None:
    plug_in(tmp_path)
    assert reset(STICKS, STICK, no_pause, tmp_path) == "took the stick at 2-1 off the bus and put it back"


def test_a_step_that_the_kernel_refuses_is_reported(tmp_path: Path) -> None:
    (plug_in(tmp_path) / "port" / "disable").unlink()
    (tmp_path / "sys/bus/usb/devices/2-1/port").rmdir()
    done = cut_port_power(STICKS, STICK, no_pause, tmp_path)
    assert done == "could not do this: switched the port 2-1 off and on (No such file or directory)"


def test_recovery_without_a_stick_says_so(tmp_path: Path) -> None:
    assert reset(STICKS, STICK, no_pause, tmp_path).startswith("there is no Coral stick on the bus")


def test_a_node_that_is_not_a_device_refuses_the_reset(tmp_path: Path) -> None:
    plug_in(tmp_path)
    (stick,) = usb.find(STICKS, tmp_path)
    stick.node.parent.mkdir(parents=True)
    stick.node.touch()
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        usb.reset(stick)
