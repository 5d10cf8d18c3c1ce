"""Sound that comes at another rate than is wanted, from a file and from a program."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from fixtures.media.sounds import tone, write_wav
from inferd.config import settings
from inferd.errors import EndOfInput, SourceError
from inferd.plugins import Source
from inferd.records import Array, Frame, Wanted
from inferd.sources.command import Command
from inferd.sources.decoding.audio_windows import Sound
from inferd.sources.decoding.resample import Resampler
from inferd.sources.files.wav import Wav
from inferd.system.clock import CountingClock, SystemClock
from inferd.worker.capture import settle

STUDIO_HZ, MODEL_HZ = 44100, 16000
CHIME = np.rint(tone(440, 1.0, STUDIO_HZ)[:, None] * 32767).astype(np.int16)


def frames_of(source: Source) -> list[Frame]:
    frames = []
    with closing(source):
        while True:
            try:
                frames.append(source.read(10.0))
            except EndOfInput:
                return frames


def end_to_end(frames: list[Frame]) -> Array:
    return np.concatenate([np.asarray(frame.data) for frame in frames])


def resampled(samples: Array) -> Array:
    made = Resampler(STUDIO_HZ, MODEL_HZ, samples.shape[1])
    return np.concatenate([made.add((samples / 32768).astype(np.float32)), made.flush()])


def test_a_wav_of_another_rate_is_brought_to_the_one_that_is_wanted(tmp_path: Path) -> None:
    file = write_wav(tmp_path / "chime.wav", CHIME, STUDIO_HZ)
    frames = frames_of(Wav(settings.WavSource(path=str(file), to_hz=MODEL_HZ, window=800), CountingClock()))
    assert {frame.rate_hz for frame in frames} == {MODEL_HZ}
    assert np.array_equal(end_to_end(frames), resampled(CHIME))
    assert frames[3].position_s == pytest.approx(0.15)


def test_a_wav_without_a_window_is_one_of_the_wanted_rate(tmp_path: Path) -> None:
    file = write_wav(tmp_path / "chime.wav", CHIME, STUDIO_HZ)
    (frame,) = frames_of(Wav(settings.WavSource(path=str(file), to_hz=MODEL_HZ), CountingClock()))
    assert np.asarray(frame.data).shape == (MODEL_HZ, 1)


def test_what_a_program_writes_at_another_rate_is_brought_to_it_as_well(tmp_path: Path) -> None:
    file = tmp_path / "chime.raw"
    file.write_bytes(np.repeat(CHIME, 2, axis=1).tobytes())
    odd = "import sys; d = open(sys.argv[1], 'rb').read(); [sys.stdout.buffer.write(d[i:i+999]) for i in range(0, len(d), 999)]"
    options = settings.CommandSource(
        command=(sys.executable, "-c", odd, str(file)),
        format="s16",
        channels=2,
        rate_hz=STUDIO_HZ,
        to_hz=MODEL_HZ,
        window=800,
        finite=True,
    )
    frames = frames_of(Command(options, SystemClock()))
    assert {frame.rate_hz for frame in frames} == {MODEL_HZ}
    assert np.array_equal(end_to_end(frames), resampled(np.repeat(CHIME, 2, axis=1)))


def test_the_models_rate_is_what_a_source_gives_and_a_program_is_told() -> None:
    wanted = Wanted(rate_hz=8000.0, window=400, hop=200)
    file, program = settings.WavSource(path="a.wav"), settings.CommandSource(preset="arecord")
    microphone = settings.CommandSource(preset="arecord", rate_hz=48000.0)
    assert settle(file, wanted) == settings.WavSource(path="a.wav", to_hz=8000.0, window=400, hop=200)
    told = [settle(each, wanted) for each in (program, microphone)]
    assert [(each.rate_hz, each.to_hz) for each in told if isinstance(each, settings.CommandSource)] == [
        (8000.0, 8000.0),
        (48000.0, 8000.0),
    ]


def test_the_same_rate_is_left_alone() -> None:
    sound = Sound("a", (16000.0, 16000.0), 4, 2, 1)
    samples = np.arange(8, dtype=np.float32)[:, None]
    sound.add(samples)
    windows = [sound.pop_window(), sound.pop_window(), sound.pop_window()]
    assert [window[:, 0].tolist() for window in windows if window is not None] == [
        [0, 1, 2, 3],
        [2, 3, 4, 5],
        [4, 5, 6, 7],
    ]


def test_all_that_is_left_comes_out_at_the_end() -> None:
    sound = Sound("a", (16000.0, 8000.0), 10, 10, 1)
    sound.add(np.ones((64, 1), np.float32))
    windows = []
    while (window := sound.pop_window()) is not None:
        windows.append(window)
    while (window := sound.flush()) is not None:
        windows.append(window)
    assert len(windows) == 4  # 32 samples, the last window filled up
    assert windows[-1][2:].tolist() == [[0.0]] * 8


def test_rates_that_cannot_be_are_refused() -> None:
    with pytest.raises(SourceError, match="rate_hz 0 and to_hz 8000; a rate is above 0"):
        Sound("a", (0.0, 8000.0), 10, 10, 1)
