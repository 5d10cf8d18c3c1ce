"""Sound files and sensors: what they give, and what becomes of what is missing."""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from fixtures.media.sounds import write_wav
from fixtures.network.cameras import ACCELEROMETER, iio_device
from inferd.config import settings
from inferd.errors import EndOfInput, FrameUnfinished, SourceError
from inferd.plugins import Source
from inferd.records import Array
from inferd.sources.files.wav import Wav
from inferd.sources.iio.source import open_iio
from inferd.system.clock import CountingClock

PATIENT_S = 10.0


def wav(file: Path, window: int = 0, hop: int = 0) -> Wav:
    return Wav(settings.WavSource(path=str(file), window=window, hop=hop), CountingClock())


def all_of(source: Source) -> list[Array]:
    windows = []
    with closing(source):
        while True:
            try:
                windows.append(np.asarray(source.read(PATIENT_S).data))
            except EndOfInput:
                return windows


def test_a_wav_is_cut_into_windows_and_its_last_is_filled_up_with_silence(tmp_path: Path) -> None:
    file = write_wav(tmp_path / "a.wav", np.array([16384] * 10, np.int16))
    windows = all_of(wav(file, window=4))
    assert [window[:, 0].tolist() for window in windows] == [[0.5] * 4, [0.5] * 4, [0.5, 0.5, 0.0, 0.0]]


def test_a_wav_without_a_window_is_one(tmp_path: Path) -> None:
    windows = all_of(wav(write_wav(tmp_path / "a.wav", np.zeros((10, 2), np.int16))))
    assert [window.shape for window in windows] == [(10, 2)]


def test_positions_of_overlapping_windows_are_a_hop_apart(tmp_path: Path) -> None:
    source = wav(write_wav(tmp_path / "a.wav", np.zeros(1000, np.int16), rate_hz=1000), window=400, hop=200)
    with closing(source):
        assert [source.read(1).position_s for _ in range(4)] == pytest.approx([0.0, 0.2, 0.4, 0.6])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_every_width_of_sample_has_the_same_loudness(tmp_path: Path, dtype: str) -> None:
    quarter = {"uint8": 160, "int16": 8192, "int32": 1 << 29}[dtype]
    file = write_wav(tmp_path / "a.wav", np.full(4, quarter, dtype))
    assert all_of(wav(file))[0].tolist() == [[0.25]] * 4


def test_a_24_bit_wav_is_read(tmp_path: Path) -> None:
    file = write_wav(tmp_path / "a.wav", np.array([[[0, 0, 0xC0]], [[0, 0, 0x40]]], np.uint8))
    assert all_of(wav(file))[0].tolist() == [[-0.5], [0.5]]


def test_what_is_no_pcm_wav_is_refused_with_the_line_that_converts_it(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF" + b"x" * 100)
    (tmp_path / "b.wav").write_bytes(_float_wav())
    (tmp_path / "c.wav").touch()
    for name in ("a", "b", "c"):
        with pytest.raises(SourceError, match="convert it: ffmpeg"):
            wav(tmp_path / f"{name}.wav")
    with pytest.raises(SourceError, match=r"no such \.wav file"):
        wav(tmp_path / "d.wav")


def _float_wav() -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", 8) + bytes(8)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def iio(root: Path, **options: object) -> Source:
    clock = CountingClock()
    return open_iio(settings.IioSource(device="bmi160", **options), clock, root)  # type: ignore[arg-type]  # right keys


def test_a_sensors_values_are_in_the_kernels_units(tmp_path: Path) -> None:
    iio_device(tmp_path, "bmi160", ACCELEROMETER)
    with closing(iio(tmp_path, window=2)) as source:
        window = np.asarray(source.read(PATIENT_S).data)
    assert window.tolist() == pytest.approx(np.array([[1.0, -2.0, 9.81, 21500.0]] * 2))


def test_only_the_channels_that_are_named_are_read_in_their_order(tmp_path: Path) -> None:
    iio_device(tmp_path, "bmi160", ACCELEROMETER)
    with closing(iio(tmp_path, channels=("accel_z", "accel_x"), window=1)) as source:
        assert np.asarray(source.read(PATIENT_S).data).tolist() == [pytest.approx([9.81, 1.0])]


def test_readings_are_as_far_apart_as_their_rate_says(tmp_path: Path) -> None:
    iio_device(tmp_path, "bmi160", ACCELEROMETER)
    with closing(iio(tmp_path, window=10, rate_hz=10)) as source:
        first, second = source.read(PATIENT_S), source.read(PATIENT_S)
    assert (second.taken_ns - first.taken_ns) / 1e9 == pytest.approx(1.0)


def test_a_window_that_takes_longer_than_a_read_is_on_its_way(tmp_path: Path) -> None:
    iio_device(tmp_path, "bmi160", ACCELEROMETER)
    with closing(iio(tmp_path, window=10, rate_hz=1)) as source:
        for _ in range(8):
            with pytest.raises(FrameUnfinished):
                source.read(1.0)
        assert source.read(1.0).seq == 0


def test_a_value_that_fails_is_missing_and_a_sensor_without_values_is_gone(tmp_path: Path) -> None:
    folder = iio_device(tmp_path, "bmi160", {**ACCELEROMETER, "in_accel_x_raw": "bus error"})
    with closing(iio(tmp_path, channels=("accel_x", "accel_y"), window=1)) as source:
        assert np.isnan(np.asarray(source.read(PATIENT_S).data)).tolist() == [[True, False]]
        (folder / "in_accel_y_raw").write_text("gone")
        for _ in range(9):
            source.read(PATIENT_S)
        with pytest.raises(SourceError, match="has given no value 10 times in a row"):
            source.read(PATIENT_S)


def test_a_sensor_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    iio_device(tmp_path, "bme280", {"in_temp_input": "1"})
    with pytest.raises(SourceError, match=r"there is no such sensor in .*; there is bme280 \(iio:device0\)"):
        iio(tmp_path)


def test_a_channel_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    iio_device(tmp_path, "bmi160", ACCELEROMETER)
    with pytest.raises(SourceError, match="has no channel gyro_x; there is accel_x, accel_y, accel_z, temp"):
        iio(tmp_path, channels=("gyro_x",))
