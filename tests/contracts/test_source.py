"""What every source must do. A new one adds a function to OPENERS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.pictures import noise, write_clip
from inferd.config import settings
from inferd.errors import EndOfInput, SourceError
from inferd.parts import SOURCES, Source
from inferd.records import Frame
from inferd.sources.images import Images
from inferd.sources.npz import Npz
from inferd.sources.synthetic import Synthetic
from inferd.sources.video import Video
from inferd.system.clock import Clock, CountingClock

Opener = Callable[[Path, Clock], Source]
FRAMES = 3


def open_synthetic(_: Path, clock: Clock) -> Source:
    return Synthetic(settings.SyntheticSource(width=64, height=48, frames=FRAMES), clock)


def open_images(folder: Path, clock: Clock) -> Source:
    for index in range(FRAMES):
        cv2.imwrite(str(folder / f"{index}.png"), noise(48, 64, seed=index))
    return Images(settings.ImagesSource(path=str(folder)), clock)


def open_video(folder: Path, clock: Clock) -> Source:
    return Video(settings.VideoSource(path=str(write_clip(folder / "clip.avi", FRAMES))), clock)


def open_npz(folder: Path, clock: Clock) -> Source:
    np.savez(folder / "samples.npz", x=np.arange(FRAMES * 4.0).reshape(FRAMES, 4))
    return Npz(settings.NpzSource(path=str(folder / "samples.npz")), clock)


OPENERS: dict[str, Opener] = {
    "synthetic": open_synthetic,
    "images": open_images,
    "video": open_video,
    "npz": open_npz,
}


@pytest.fixture(params=sorted(OPENERS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    with closing(OPENERS[request.param](tmp_path, CountingClock())) as opened:
        yield opened


def read_all(source: Source) -> list[Frame]:
    frames = []
    while True:
        try:
            frames.append(source.read(1.0))
        except EndOfInput:
            return frames


def test_every_source_of_the_table_is_tried() -> None:
    assert set(OPENERS) == set(SOURCES)


def test_frames_are_numbered_from_zero(source: Source) -> None:
    assert [frame.seq for frame in read_all(source)] == [0, 1, 2]


def test_frames_are_stamped_by_the_clock_that_was_given(source: Source) -> None:
    clock = CountingClock()
    frame = source.read(1.0)
    assert (frame.taken_ns, frame.taken_at) == (clock.monotonic_ns(), clock.wall_s())


def test_a_source_that_was_through_stays_through(source: Source) -> None:
    read_all(source)
    with pytest.raises(EndOfInput):
        source.read(1.0)


def test_pictures_are_not_resized_and_tensors_keep_a_batch_axis_of_one(source: Source) -> None:
    data = source.read(1.0).data
    arrays = list(data.values()) if isinstance(data, Mapping) else [data]
    assert [array.shape for array in arrays] in ([(48, 64, 3)], [(1, 4)])


def test_positions_rise_where_there_are_any(source: Source) -> None:
    positions = [frame.position_s for frame in read_all(source) if frame.position_s is not None]
    assert positions == sorted(set(positions))


def test_closing_twice_is_fine(source: Source) -> None:
    source.close()
    source.close()


@pytest.mark.parametrize("opener", [Images, Video, Npz])
def test_a_path_that_leads_nowhere_is_named_at_once(opener: Callable[..., Source], tmp_path: Path) -> None:
    kinds = {Images: settings.ImagesSource, Video: settings.VideoSource, Npz: settings.NpzSource}
    options = kinds[opener](path=str(tmp_path / "nowhere"))  # type: ignore[index]  # the keys are the parameters
    with pytest.raises(SourceError, match=r"nowhere: no such"):
        opener(options, CountingClock())
