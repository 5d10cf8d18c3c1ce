"""What every source must do. A new one adds a function to OPENERS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.media.pictures import noise, write_clip
from fixtures.media.sounds import write_wav
from fixtures.network.cameras import ACCELEROMETER, Camera, iio_buffer, iio_device, jpegs, printing, shows
from inferd.config import settings
from inferd.errors import EndOfInput, SourceError
from inferd.plugins import SOURCES, Source
from inferd.records import Box, Frame
from inferd.sources.camera.network import open_stream
from inferd.sources.camera.v4l2 import V4l2
from inferd.sources.command import Command
from inferd.sources.crops import Crops
from inferd.sources.files.images import Images
from inferd.sources.files.npz import Npz
from inferd.sources.files.video import Video
from inferd.sources.files.wav import Wav
from inferd.sources.iio.source import open_iio
from inferd.sources.lines.source import TextLines
from inferd.sources.synthetic import Synthetic
from inferd.system.clock import Clock, CountingClock

Opener = Callable[[Path, Clock], Source]
FRAMES = 3
CAMERAS = sorted(Path("/dev").glob("video*"))
"""Of this machine."""


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


def open_command(_: Path, clock: Clock) -> Source:
    program = printing(f"for shade in range({FRAMES}): out(bytes([shade]) * 64 * 48 * 3)")
    options = settings.CommandSource(command=program, format="bgr", width=64, height=48, finite=True)
    return Command(options, clock)


def open_v4l2(_: Path, clock: Clock) -> Source:
    return V4l2(settings.V4l2Source(path=str(CAMERAS[0]), width=64, height=48), clock)


def open_http(_: Path, clock: Clock) -> Source:
    return open_stream(settings.StreamSource(url=Camera(shows(*jpegs(FRAMES))).url), clock)


def open_wav(folder: Path, clock: Clock) -> Source:
    file = write_wav(folder / "a.wav", np.zeros((FRAMES * 8, 2), np.int16), rate_hz=8000)
    return Wav(settings.WavSource(path=str(file), window=8), clock)


def open_iio_polled(folder: Path, clock: Clock) -> Source:
    iio_device(folder, "bmi160", ACCELEROMETER)
    return open_iio(settings.IioSource(device="bmi160", window=1), clock, folder)


def open_iio_buffer(folder: Path, clock: Clock) -> Source:
    node = iio_buffer(iio_device(folder, "bmi160", ACCELEROMETER))
    pipe = os.open(node, os.O_RDWR)  # never closed: it ends with the tests, as a sensor that is there for good
    os.write(pipe, bytes(16 * FRAMES))
    accel = ("accel_x", "accel_y", "accel_z", "timestamp")
    return open_iio(
        settings.IioSource(device="bmi160", channels=accel, window=1, mode="buffer"), clock, folder, node.parent
    )


def open_lines(folder: Path, clock: Clock) -> Source:
    (folder / "a.csv").write_text("a,b,c,d\n" + "1,2,3,4\n" * FRAMES)
    return TextLines(settings.LinesSource(path=str(folder / "a.csv"), rate_hz=10), clock)


def open_crops(_: Path, clock: Clock) -> Source:
    source = Crops(settings.CropsSource(of="street", margin=0.0), clock)
    whole = Box(0, "person", 0.9, (0.0, 0.0, 1.0, 1.0))
    for seq in range(FRAMES):
        frame = Frame(noise(48, 64, seed=seq), seq, clock.monotonic_ns(), clock.wall_s())
        source.put(frame, [whole])
    return source


OPENERS: dict[str, Opener] = {
    "crops": open_crops,
    "synthetic": open_synthetic,
    "images": open_images,
    "video": open_video,
    "npz": open_npz,
    "command": open_command,
    "v4l2": open_v4l2,
    "stream": open_http,
    "wav": open_wav,
    "iio": open_iio_polled,
    "iio buffer": open_iio_buffer,
    "lines": open_lines,
}


@pytest.fixture(params=sorted(name for name in OPENERS if name != "v4l2" or CAMERAS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    with closing(OPENERS[request.param](tmp_path, CountingClock())) as opened:
        yield opened


def read_all(source: Source) -> list[Frame]:
    """Return all frames of a source that ends, and as many of one that does not."""
    frames: list[Frame] = []
    while not source.live or len(frames) < FRAMES:
        try:
            frames.append(source.read(10.0))
        except EndOfInput:
            break
    return frames


def test_every_source_of_the_table_is_tried() -> None:
    assert {name.split()[0] for name in OPENERS} == set(SOURCES)


@pytest.mark.skipif(not CAMERAS, reason="there is no camera at /dev/video*")
def test_the_camera_of_this_machine_is_among_them(tmp_path: Path) -> None:
    with closing(OPENERS["v4l2"](tmp_path, CountingClock())) as camera:
        assert camera.live


def test_frames_are_numbered_from_zero(source: Source) -> None:
    assert [frame.seq for frame in read_all(source)] == [0, 1, 2]


def test_frames_are_stamped_by_the_clock_that_was_given(source: Source) -> None:
    clock = CountingClock()
    frame = source.read(10.0)
    assert (frame.taken_ns, frame.taken_at) == (clock.monotonic_ns(), clock.wall_s())


def test_a_source_that_was_through_stays_through(source: Source) -> None:
    read_all(source)
    if not source.live:
        with pytest.raises(EndOfInput):
            source.read(1.0)


def test_pictures_are_not_resized_and_tensors_keep_a_batch_axis_of_one(source: Source) -> None:
    data = source.read(10.0).data
    arrays = list(data.values()) if isinstance(data, Mapping) else [data]
    assert [array.shape for array in arrays] in ([(48, 64, 3)], [(1, 4)], [(8, 2)])


def test_a_window_of_a_signal_says_how_fast_it_was_taken(source: Source) -> None:
    frame = source.read(10.0)
    is_signal = isinstance(frame.data, np.ndarray) and frame.data.dtype == np.float32
    assert (frame.rate_hz > 0) == is_signal


def test_a_live_source_has_no_positions(source: Source) -> None:
    assert (source.read(10.0).position_s is None) or not source.live


def test_reading_after_the_close_is_an_error_or_goes_on_but_never_hangs(source: Source) -> None:
    source.close()
    try:
        source.read(0.1)
    except SourceError:
        return


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
