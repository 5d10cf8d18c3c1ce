from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from inferd.config.settings import Pace
from inferd.records import Frame
from inferd.sources.pacing import Pacer

MS = 1_000_000


def frame(position_s: float | None = None) -> Frame:
    return Frame(data=np.zeros((1, 1), np.uint8), seq=0, taken_ns=0, taken_at=0.0, position_s=position_s)


def shown_ms(pacer: Pacer, positions_s: Sequence[float | None], reading_ms: Sequence[float] = ()) -> list[float]:
    """Return when each frame is shown by a reader that waits as told, and takes `reading_ms` to read each one."""
    now_ns = 0
    shown = []
    for index, position_s in enumerate(positions_s):
        now_ns += round(reading_ms[index] * MS) if reading_ms else 0
        now_ns += pacer.delay_ns(frame(position_s), now_ns)
        shown.append(now_ns / MS)
    return shown


def recorded() -> Pacer:
    return Pacer(Pace(mode="recorded"), live=False)


def test_recorded_frames_are_shown_as_they_were_taken() -> None:
    assert shown_ms(recorded(), [0.0, 0.1, 0.5]) == [0, 100, 500]


def test_the_first_frame_is_shown_at_once_wherever_it_stands() -> None:
    assert shown_ms(recorded(), [7.0, 7.1]) == [0, 100]


def test_the_time_to_read_a_frame_does_not_stretch_the_recording() -> None:
    assert shown_ms(recorded(), [0.0, 0.1, 0.2], reading_ms=[0, 30, 99]) == [0, 100, 200]


def test_a_reader_that_is_a_little_late_catches_up() -> None:
    assert shown_ms(recorded(), [0.0, 0.1, 0.2, 0.3, 0.4], reading_ms=[0, 300, 0, 0, 0]) == [0, 300, 300, 300, 400]


def test_a_reader_that_is_far_too_late_sees_no_burst() -> None:
    assert shown_ms(recorded(), [0.0, 0.1, 0.2, 0.3], reading_ms=[0, 5000, 0, 0]) == [0, 5000, 5100, 5200]


def test_a_recording_that_starts_again_goes_on_after_one_interval() -> None:
    assert shown_ms(recorded(), [0.0, 0.1, 0.2, 0.0, 0.1]) == [0, 100, 200, 300, 400]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -5.0])
def test_an_odd_position_costs_one_interval_at_most(odd: float) -> None:
    assert shown_ms(recorded(), [0.0, 0.1, odd]) == [0, 100, 200]


def test_frames_without_a_position_take_the_fallback_rate() -> None:
    pacer = Pacer(Pace(mode="recorded"), live=False, fallback_fps=20.0)
    assert shown_ms(pacer, [None, None, None]) == [0, 50, 100]


def test_a_fixed_rate_does_not_care_for_positions() -> None:
    assert shown_ms(Pacer(Pace(mode="fixed", fps=4.0), live=False), [0.0, 0.01, 9.0]) == [0, 250, 500]


def test_fast_frames_never_wait() -> None:
    assert shown_ms(Pacer(Pace(mode="fast"), live=False), [0.0, 1.0, 2.0]) == [0, 0, 0]


@pytest.mark.parametrize("mode", ["recorded", "fixed"])
def test_live_frames_never_wait(mode: str) -> None:
    pace = Pace(mode="recorded") if mode == "recorded" else Pace(mode="fixed", fps=1.0)
    assert shown_ms(Pacer(pace, live=True), [None, None]) == [0, 0]


def test_ten_minutes_at_a_fixed_rate_does_not_drift() -> None:
    pacer = Pacer(Pace(mode="fixed", fps=30.0), live=False)
    assert shown_ms(pacer, [None] * 18_001)[-1] == pytest.approx(600_000, abs=1)
