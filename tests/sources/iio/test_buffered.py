"""A sensor that is read from its buffer: a made-up sysfs, and a pipe in place of the kernel's node."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fixtures.network.cameras import ACCELEROMETER, SCANS, iio_buffer, iio_device
from inferd.config import settings
from inferd.errors import FrameUnfinished, SourceError, SourceTimeout
from inferd.plugins import Source
from inferd.sources.iio.source import open_iio
from inferd.system.clock import CountingClock

ACCEL = ("accel_x", "accel_y", "accel_z")
SCAN = struct.Struct("<HH")


@dataclass
class Sensor:
    """An accelerometer with a buffer."""

    root: Path
    folder: Path
    pipe: int
    clock: CountingClock

    def says(self, file: str) -> str:
        """Return what one of its files says."""
        return (self.folder / file).read_text().strip()

    def open(self, **options: object) -> Source:
        """Open it."""
        options = {"device": "bmi160", "channels": ACCEL, **options}
        chosen = settings.IioSource(**options)  # type: ignore[arg-type]  # tests name right keys
        return open_iio(chosen, self.clock, self.root, self.root / "dev")

    def measures(self, *readings: tuple[int, int, int]) -> None:
        """Have the kernel read these."""
        for x, y, z in readings:
            os.write(self.pipe, struct.pack("<HH", x << 4 & 0xFFFF, y << 4 & 0xFFFF) + struct.pack(">h", z))


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    folder = iio_device(tmp_path, "bmi160", ACCELEROMETER)
    pipe = os.open(iio_buffer(folder), os.O_RDWR | os.O_NONBLOCK)
    yield Sensor(tmp_path, folder, pipe, CountingClock())
    os.close(pipe)


def test_a_window_comes_out_of_the_buffer_in_the_kernels_units(sensor: Sensor) -> None:
    with closing(sensor.open(window=2)) as source:
        sensor.measures((100, -200, 1000), (1, 2, 3))
        frame = source.read(1.0)
    assert np.asarray(frame.data).tolist() == pytest.approx(np.array([[1.0, -2.0, 9.81], [0.01, 0.02, -0.16]]))
    assert (frame.rate_hz, frame.seq, str(np.asarray(frame.data).dtype)) == (100.0, 0, "float32")


def test_only_what_is_wanted_is_enabled_and_the_buffer_runs(sensor: Sensor) -> None:
    with closing(sensor.open(channels=("accel_z",), window=100)):
        enabled = [name for name in SCANS if sensor.says(f"scan_elements/in_{name}_en") == "1"]
        assert (enabled, sensor.says("buffer/enable"), sensor.says("buffer/length")) == (["accel_z"], "1", "200")
    assert sensor.says("buffer/enable") == "0"


def test_a_slow_window_still_wakes_us_twice_a_second(sensor: Sensor) -> None:
    with closing(sensor.open(window=1000)):
        assert sensor.says("buffer/watermark") == "50"


def test_a_rate_is_asked_for_and_the_one_that_it_is_is_told(sensor: Sensor) -> None:
    with closing(sensor.open(rate_hz=25.0)) as source:
        sensor.measures((0, 0, 0))
        assert (source.read(1.0).rate_hz, sensor.says("sampling_frequency")) == (25.0, "25")


def test_windows_overlap_as_their_hop_says(sensor: Sensor) -> None:
    with closing(sensor.open(channels=("accel_z",), window=3, hop=1)) as source:
        os.write(sensor.pipe, struct.pack(">5h", 19, 119, 219, 319, 419))
        told = [np.asarray(source.read(1.0).data)[:, 0].tolist() for _ in range(3)]
    assert told == [pytest.approx(row) for row in ([0, 1, 2], [1, 2, 3], [2, 3, 4])]


def test_a_scan_that_came_in_two_parts_is_one(sensor: Sensor) -> None:
    with closing(sensor.open(channels=("accel_x", "accel_y"))) as source:
        for octet in SCAN.pack(100 << 4, 200 << 4)[:3], SCAN.pack(100 << 4, 200 << 4)[3:]:
            with pytest.raises(FrameUnfinished):
                source.read(0.0)
            os.write(sensor.pipe, octet)
        assert np.asarray(source.read(1.0).data).tolist() == [pytest.approx([1.0, 2.0])]


def test_a_timestamp_that_somebody_enabled_is_skipped_with_its_padding(sensor: Sensor) -> None:
    (sensor.folder / "scan_elements/in_timestamp_en").write_text("1")
    with closing(sensor.open(channels=("accel_x", "accel_y"))) as source:
        os.write(sensor.pipe, SCAN.pack(100 << 4, 200 << 4) + bytes(12))
        assert np.asarray(source.read(1.0).data).tolist() == [pytest.approx([1.0, 2.0])]


def test_nothing_is_written_that_is_so_already(sensor: Sensor) -> None:
    with closing(sensor.open()):
        files = [file for file in sensor.folder.rglob("*") if file.is_file()]
        before = {file: file.stat().st_mtime_ns for file in files}
        with closing(sensor.open()):
            assert {file: file.stat().st_mtime_ns for file in files} == before


def test_a_buffer_that_stays_empty_is_named_once_it_is_late(sensor: Sensor) -> None:
    with closing(sensor.open()) as source:
        with pytest.raises(FrameUnfinished):
            source.read(0.0)
        sensor.clock.advance(1.5)
        with pytest.raises(SourceTimeout, match="its buffer stays empty"):
            source.read(0.0)
        sensor.measures((0, 0, 0))
        assert source.read(1.0).seq == 0


def test_a_slow_sensor_is_not_late_before_three_of_its_readings(sensor: Sensor) -> None:
    with closing(sensor.open(rate_hz=0.1)) as source:
        sensor.clock.advance(29.0)
        with pytest.raises(FrameUnfinished):
            source.read(0.0)


def test_a_sensor_that_vanishes_is_an_end_that_is_named(sensor: Sensor) -> None:
    with closing(sensor.open()) as source:
        sensor.measures((0, 0, 0))
        source.read(1.0)
        os.close(sensor.pipe)
        with pytest.raises(SourceError, match="its buffer has ended; check that it is plugged in"):
            source.read(1.0)
        sensor.pipe = os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda one: (one.folder / "buffer/enable").unlink(), "it has no buffer"),
        (lambda one: (one.root / "dev" / one.folder.name).unlink(), "cannot be opened"),
        (lambda one: (one.folder / "scan_elements/in_accel_y_en").unlink(), "its buffer has no accel_y"),
        (lambda one: (one.folder / "scan_elements/in_accel_y_type").write_text("odd"), "not understood"),
        (lambda one: (one.folder / "sampling_frequency").unlink(), "say rate_hz"),
        (
            lambda one: ((one.folder / "trigger").mkdir(), (one.folder / "trigger/current_trigger").touch()),
            "triggers it",
        ),
    ],
)
def test_what_cannot_be_read_from_a_buffer_is_read_value_by_value_and_told(
    sensor: Sensor, caplog: pytest.LogCaptureFixture, spoil: object, why: str
) -> None:
    assert callable(spoil)
    spoil(sensor)
    caplog.set_level(logging.INFO)
    with closing(sensor.open()) as source:
        assert np.asarray(source.read(100.0).data).tolist() == [pytest.approx([1.0, -2.0, 9.81])]
    assert "bmi160 is read value by value" in caplog.text
    assert why in caplog.text


def test_without_the_wish_for_a_buffer_it_is_left_alone(sensor: Sensor) -> None:
    with closing(sensor.open(mode="poll")):
        assert sensor.says("buffer/enable") == "0"


def test_who_insists_on_a_buffer_is_told_why_there_is_none(sensor: Sensor) -> None:
    (sensor.folder / "buffer/enable").unlink()
    with pytest.raises(SourceError, match="it has no buffer; mode poll reads it value by value"):
        sensor.open(mode="buffer")


def test_a_trigger_is_taken_by_its_name_or_for_being_the_sensors_own(sensor: Sensor) -> None:
    (sensor.folder / "trigger").mkdir()
    (sensor.folder / "trigger/current_trigger").touch()
    for number, name in enumerate(("sysfstrig0", "bmi160-dev0")):
        (sensor.root / f"trigger{number}").mkdir()
        (sensor.root / f"trigger{number}/name").write_text(f"{name}\n")
    for wanted, taken in (("", "bmi160-dev0"), ("sysfstrig0", "sysfstrig0")):
        with closing(sensor.open(trigger=wanted)):
            assert sensor.says("trigger/current_trigger") == taken


def test_a_channel_without_a_number_of_its_own_comes_from_the_buffer(sensor: Sensor, tmp_path: Path) -> None:
    folder = iio_device(tmp_path, "bno055", {"in_rot_scale": "0.5"}, number=1)
    pipe = os.open(iio_buffer(folder, {"rot_quaternion": (0, "le:s16/16X4")}, "buffer0"), os.O_RDWR)
    with closing(sensor.open(device="bno055", channels=())) as source:
        os.write(pipe, struct.pack("<4h", 2, 4, 6, -8))
        assert np.asarray(source.read(1.0).data).tolist() == [[1.0, 2.0, 3.0, -4.0]]
    os.close(pipe)
