"""Names that are not UTF-8, as the kernel and file systems allow them, end no check and no bundle."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from fixtures.machines.boards import pi4, pi5
from inferd.doctor.draft_config import draft, look
from inferd.doctor.readers.hardware import holders
from inferd.doctor.registry import CHECKS
from inferd.doctor.runner import examine
from inferd.doctor.support_bundle import parts


def test_a_program_with_a_foreign_name_that_holds_a_device_is_named(tmp_path: Path) -> None:
    board = pi4(tmp_path)
    board.process(4711, "frigate", "/dev/bus/usb/002/003")
    (tmp_path / "proc/4711/comm").write_bytes(b"frig\xfcte\n")
    (holder,) = holders(board.world(), "/dev/bus/usb/002/003")
    assert holder.name == "frig\ufffdte"
    (finding,) = [one for one in examine(board.world(), CHECKS).findings if one.id == "accelerator.busy"]
    msgspec.json.encode(finding)


def test_a_camera_whose_name_cannot_stand_in_a_configuration_is_drafted_by_its_number(tmp_path: Path) -> None:
    board = pi5(tmp_path)
    board.remove("/dev/v4l/by-id")
    (tmp_path / "dev/v4l/by-id").mkdir(parents=True)
    (tmp_path / "dev/v4l/by-id" / os.fsdecode(b"usb-C\xfcm-video-index0")).touch()
    board.write("/sys/class/video4linux/video0/index", "0\n")
    board.write("/sys/class/video4linux/video0/device/bInterfaceNumber", "00\n")
    assert 'path = "/dev/video0"' in draft(look(board.world()))


def test_a_state_folder_with_a_foreign_name_is_listed_in_the_bundle(tmp_path: Path) -> None:
    board = pi4(tmp_path)
    (tmp_path / "var/lib/inferd" / os.fsdecode(b"f\xfcr.txt")).touch()
    world = board.world()
    (state,) = [one for one in parts(world, examine(world, CHECKS)) if one.name == "state.txt"]
    assert b"f\\xfcr.txt" in state.content
