from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from fixtures.media.pictures import noise, write_clip
from fixtures.models.collection import find_assets, with_published
from inferd.bundled_files import bundled
from inferd.config.settings import VideoSource
from inferd.errors import EndOfInput, FrameError, SourceError
from inferd.sources.files.video import Video
from inferd.system.clock import CountingClock


def video(file: Path) -> Video:
    return Video(VideoSource(path=str(file)), CountingClock())


def count(source: Video) -> int:
    frames = 0
    while True:
        try:
            source.read(1.0)
        except EndOfInput:
            return frames
        frames += 1


def test_positions_are_those_of_the_recording(tmp_path: Path) -> None:
    source = video(write_clip(tmp_path / "a.avi", 4, fps=20.0))
    assert [source.read(1.0).position_s for _ in range(4)] == pytest.approx([0.0, 0.05, 0.1, 0.15])


def test_each_frame_says_where_it_comes_from(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "a.avi", 2)
    source = video(file)
    assert [source.read(1.0).origin for _ in range(2)] == [f"{file}#0", f"{file}#1"]


def test_a_clip_that_breaks_off_says_so_once_and_then_ends(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", 20).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    source = video(tmp_path / "cut.avi")
    with pytest.raises(FrameError, match=r"cut\.avi: breaks off after \d+ of 20 frames"):
        count(source)
    with pytest.raises(EndOfInput):
        source.read(1.0)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(SourceError, match=r"a\.mp4: is empty"):
        video(tmp_path / "a.mp4")


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video at all " * 100)
    with pytest.raises(SourceError, match=r"a\.mp4: is damaged or in a format"):
        video(tmp_path / "a.mp4")


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such video file"):
        video(tmp_path)


def test_reading_after_the_close_is_an_error(tmp_path: Path) -> None:
    source = video(write_clip(tmp_path / "a.avi", 2))
    source.close()
    with pytest.raises(SourceError, match="was closed"):
        source.read(1.0)


@pytest.mark.parametrize("name", with_published(["clip"], ["slideshow_10s_320x240", "slideshow_cc0_6s_320x240"]))
def test_a_real_clip_gives_as_many_frames_as_its_truth_says(name: str) -> None:
    folder, assets = bundled("digits"), find_assets()
    if assets is not None and name != "clip":
        folder = assets / "video"
    (truth_file,) = folder.glob(f"{name}*.json")
    assert count(video(folder / f"{name}.avi")) == json.loads(truth_file.read_text())["frames"]


def test_an_mp4_cut_short_is_named(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "whole.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for index in range(20):
        writer.write(noise(48, 64, seed=index))
    writer.release()
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(SourceError, match=r"cut\.mp4: is damaged"):
        video(tmp_path / "cut.mp4")
