from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from fixtures.paths import BOARD_TREES
from inferd.meters.background import BackgroundReader, DirectReader
from inferd.meters.heat.throttle import ThrottleMeter, parse_throttled
from inferd.records import Unavailable
from inferd.system.clock import CountingClock, SystemClock
from inferd.system.threads import Event


def test_the_lower_bits_are_now_and_the_upper_ones_do_not_count() -> None:
    assert parse_throttled("throttled=0xf0000\n") == dict.fromkeys(
        ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"), False
    )
    assert [reason for reason, so in parse_throttled("throttled=0x6").items() if so] == [
        "frequency_capped",
        "throttled",
    ]


def test_a_raspberry_pi_without_vcgencmd_still_tells_its_voltage(tmp_path: Path) -> None:
    root = copytree(BOARD_TREES / "pi3", tmp_path / "root")
    (root / "usr/bin/vcgencmd").unlink()
    (root / "sys/class/hwmon/hwmon0/in0_lcrit_alarm").write_text("1\n")
    clock = CountingClock()
    meter = ThrottleMeter(clock, root, slowly=DirectReader)
    clock.advance(3.0)
    meter.tick()
    assert meter.now
    readings = meter.sample()
    assert readings["throttled_by_s"] == {"under_voltage": 3.0}
    assert isinstance(readings["throttled_s"], Unavailable)
    meter.close()


def test_the_kernels_file_stands_in_for_the_program(tmp_path: Path) -> None:
    word = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    word.parent.mkdir(parents=True)
    word.write_text("50008\n")
    clock = CountingClock()
    meter = ThrottleMeter(clock, tmp_path, slowly=DirectReader)
    clock.advance(2.0)
    meter.tick()
    assert meter.sample()["throttled_s"] == 2.0
    meter.close()


def test_a_counter_of_the_processor_that_moves_is_a_second_of_throttling(tmp_path: Path) -> None:
    root = copytree(BOARD_TREES / "x86", tmp_path / "root")
    clock = CountingClock()
    meter = ThrottleMeter(clock, root, slowly=DirectReader)
    for count in (12, 15, 15):
        (root / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count").write_text(f"{count}\n")
        clock.advance(1.0)
        meter.tick()
    assert meter.sample()["throttled_by_s"] == {"throttled": 1.0}
    meter.close()


def test_a_new_interval_begins_at_nothing() -> None:
    clock = CountingClock()
    meter = ThrottleMeter(clock, BOARD_TREES / "coral", slowly=DirectReader)
    for expected in (4.0, 1.0):
        clock.advance(expected)
        meter.tick()
        assert meter.sample()["throttled_s"] == expected
    meter.close()


def test_a_device_that_tells_nothing_says_so(tmp_path: Path) -> None:
    clock = CountingClock()
    meter = ThrottleMeter(clock, tmp_path, slowly=DirectReader)
    clock.advance(1.0)
    meter.tick()
    assert isinstance(meter.sample()["throttled_s"], Unavailable)
    assert meter.now is None
    meter.close()


def test_a_program_that_refuses_is_named_with_what_mends_it(tmp_path: Path) -> None:
    program = tmp_path / "usr/bin/vcgencmd"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'Can not open device file: /dev/vcio' >&2; exit 1\n")
    program.chmod(0o755)
    clock = CountingClock()
    meter = ThrottleMeter(clock, tmp_path, slowly=DirectReader)
    clock.advance(1.0)
    meter.tick()
    assert meter.why is not None
    assert (
        meter.why.why
        == "vcgencmd get_throttled: Can not open device file: /dev/vcio; the user must be in the group video"
    )
    meter.close()


def test_whoever_wants_a_slow_reading_never_waits_for_it() -> None:
    hangs, read = Event(), Event()

    def slow() -> float:
        read.set()
        hangs.wait()
        return 1.0

    reader = BackgroundReader("slow", slow, 0.01, SystemClock())
    assert read.wait(5)
    assert reader.latest() is None
    hangs.set()
    while reader.latest() is None:
        pass
    assert reader.latest() == 1.0
    reader.close()


def test_a_reading_that_became_too_old_counts_no_longer() -> None:
    clock = CountingClock()
    reader = BackgroundReader("sensor", lambda: 1.0, 1000.0, clock)  # read once, and then not within this test
    while reader.latest() is None:
        pass
    clock.advance(3001.0)
    assert reader.latest() == Unavailable("sensor has not answered for 3001 s")
    reader.close()


@pytest.mark.parametrize("answer", ["", "throttled=", "throttled=50005"])
def test_what_is_no_word_of_bits_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="not a word of bits"):
        parse_throttled(answer)
