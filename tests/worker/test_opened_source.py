"""Whatever a source meets, it is a SourceError of its own pipeline."""

from __future__ import annotations

import wave
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest

from fixtures.media.pictures import encoded, noise
from fixtures.network.cameras import printing
from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, SourceError, SourceTimeout
from inferd.sources.files.video import Video
from inferd.system.clock import CountingClock, SystemClock
from inferd.worker.opened_source import OpenedSource

MUTANTS = 60  # of each kind of file
FRAMES = 6


def wav(file: Path) -> settings.Source:
    with wave.open(str(file), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16000)
        written.writeframes(bytes(640))
    return settings.WavSource(path=str(file), to_hz=8000, window=64)


def npz(file: Path) -> settings.Source:
    np.savez(file, input=np.zeros((4, 8), np.float32))
    return settings.NpzSource(path=str(file))


def images(file: Path) -> settings.Source:
    file.write_bytes(encoded(file.suffix, noise(16, 24)))
    return settings.ImagesSource(path=str(file))


def video(file: Path) -> settings.Source:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 32))
    for seed in range(4):
        writer.write(noise(32, 32, seed=seed))
    writer.release()
    return settings.VideoSource(path=str(file))


def lines(file: Path) -> settings.Source:
    file.write_text("".join(f"{number},2.5,3\n" for number in range(20)))
    return settings.LinesSource(path=str(file), window=2)


FILES: dict[str, Callable[[Path], settings.Source]] = {
    "a.wav": wav,
    "a.npz": npz,
    "a.jpg": images,
    "a.png": images,
    "a.bmp": images,
    "a.webp": images,
    "a.avi": video,
    "a.csv": lines,
}


def read_all(options: settings.Source, timeout_s: float = 0.01) -> list[str]:
    """Return the faults of a source, read to its end or until it is given up."""
    told: list[str] = []
    try:
        with closing(OpenedSource(options, SystemClock())) as source:
            for _ in range(FRAMES):
                try:
                    source.read(timeout_s)
                except (FrameError, SourceTimeout) as exc:
                    told.append(str(exc))
    except EndOfInput:
        pass
    except SourceError as exc:
        told.append(str(exc))
    return told


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_a_named_fault_whatever_byte_it_is(name: str, tmp_path: Path) -> None:
    options = FILES[name](tmp_path / name)
    assert read_all(options) == []
    whole = (tmp_path / name).read_bytes()
    for seed in range(MUTANTS):
        chance = Random(seed)  # noqa: S311 - repeatable
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(min(len(data), chance.choice((64, len(data)))))] = chance.randrange(256)
        (tmp_path / name).write_bytes(data[: len(data) - chance.choice((0, 0, chance.randrange(len(data))))])
        assert not [told for told in read_all(options) if "bug of inferd" in told]


@pytest.mark.parametrize("at", range(44))
def test_a_damaged_byte_in_the_header_of_a_wav_is_a_named_fault(at: int, tmp_path: Path) -> None:
    options = wav(tmp_path / "a.wav")
    whole = (tmp_path / "a.wav").read_bytes()
    for value in (0x00, 0x7F, 0x80, 0xFF):
        (tmp_path / "a.wav").write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
        assert not [told for told in read_all(options) if "bug of inferd" in told]


class FailingClock(CountingClock):
    """Fails with an error that no source foresees."""

    def wall_s(self) -> float:
        raise ZeroDivisionError("with s3cret in its text")


def test_an_unforeseen_exception_is_an_error_of_the_source_that_names_where_and_quotes_nothing() -> None:
    source = OpenedSource(settings.SyntheticSource(width=8, height=8), FailingClock())
    with pytest.raises(
        SourceError, match=r"synthetic: .*ZeroDivisionError in test_opened_source.py, line \d+"
    ) as caught:
        source.read(0.1)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (settings.V4l2Source(path="/dev/null"), "/dev/null: is no camera"),
        (settings.VideoSource(path="/dev/null"), "/dev/null: no such video file"),
        (settings.ImagesSource(path="/dev/null"), "/dev/null: no such file"),
        (settings.WavSource(path="/dev/null"), "/dev/null: no such .wav file"),
        (settings.LinesSource(command=printing("sys.exit(3)")), "ended with exit code 3"),
        (settings.CommandSource(command=printing("err('no device'); sys.exit(1)"), format="s16"), "no device"),
    ],
)
def test_sources_that_cannot_work_say_why(options: settings.Source, told: str) -> None:
    assert any(told in one for one in read_all(options, timeout_s=5))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\x24\0\0\0AVI LIST"])
def test_an_empty_or_cut_video_says_so(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(content)
    (told,) = read_all(settings.VideoSource(path=str(tmp_path / "a.avi")))
    assert "is empty" in told or "is damaged" in told


def test_a_video_with_more_pixels_than_the_board_has_memory_for_is_refused(tmp_path: Path) -> None:
    options = video(tmp_path / "a.avi")
    assert isinstance(options, settings.VideoSource)
    with pytest.raises(SourceError, match="pictures of 32 x 32 pixels, more than the"):
        Video(options, SystemClock(), most=1000)
