"""What can be told without a camera; tests/end_to_end/test_vivid.py has one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferd.config.settings import V4l2Source
from inferd.errors import SourceError
from inferd.sources.camera.v4l2 import V4l2
from inferd.sources.camera.v4l2_formats import Mode, Range, choose
from inferd.system.clock import CountingClock

WEBCAM = [
    Mode("YUYV", 640, 480, 30.0),
    Mode("YUYV", 320, 240, 30.0),
    Mode("YUYV", 1280, 720, 10.0),
    Mode("MJPG", 640, 480, 30.0),
    Mode("MJPG", 1280, 720, 30.0),
    Mode("H264", 320, 240, 30.0),
]


def test_the_smallest_size_that_feeds_the_model_is_taken() -> None:
    assert choose(WEBCAM, 224, 224, 0.0, "") == Mode("YUYV", 320, 240, 30.0)
    assert choose(WEBCAM, 300, 300, 0.0, "") == Mode("YUYV", 640, 480, 30.0)


def test_a_camera_that_is_too_small_gives_its_largest() -> None:
    assert choose(WEBCAM, 4000, 3000, 0.0, "") == Mode("YUYV", 1280, 720, 10.0)


def test_a_rate_that_raw_pictures_do_not_reach_is_had_with_jpegs() -> None:
    assert choose(WEBCAM, 1000, 700, 25.0, "") == Mode("MJPG", 1280, 720, 30.0)


def test_a_format_that_is_asked_for_is_the_only_one() -> None:
    assert choose(WEBCAM, 10, 10, 0.0, "MJPG") == Mode("MJPG", 640, 480, 30.0)
    assert choose(WEBCAM, 10, 10, 0.0, "NV12") is None


def test_a_format_that_opencv_does_not_turn_into_pictures_is_never_taken() -> None:
    assert choose([Mode("H264", 320, 240)], 0, 0, 0.0, "") is None


@pytest.mark.parametrize(("wanted", "size"), [(10, 48), (48, 48), (49, 52), (300, 300), (9999, 640)])
def test_a_size_in_steps_is_the_next_one_up(wanted: int, size: int) -> None:
    assert Range((48, 640, 4), (48, 640, 4)).at_least(wanted, 0) == (size, 48)


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceError, match=r"/dev/video99: there is no such camera; there is .*check the path"):
        V4l2(V4l2Source(path="/dev/video99"), CountingClock())


def test_a_node_that_is_no_camera_is_named() -> None:
    with pytest.raises(SourceError, match=r"/dev/null: is no camera \(Inappropriate ioctl for device\)"):
        V4l2(V4l2Source(path="/dev/null"), CountingClock())


def test_a_camera_that_may_not_be_opened_names_the_group(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may open everything")
    (tmp_path / "video0").touch(mode=0)
    with pytest.raises(SourceError, match="add inferd's user to the group video"):
        V4l2(V4l2Source(path=str(tmp_path / "video0")), CountingClock())
