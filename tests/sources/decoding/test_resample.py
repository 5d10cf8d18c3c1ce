from __future__ import annotations

import numpy as np
import pytest

from inferd.records import Array
from inferd.sources.decoding.resample import Resampler

RATES = pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (48000, 16000), (22050, 16000), (8000, 16000), (16000, 44100)]
)


def at_once(samples: Array, from_hz: int, to_hz: int) -> Array:
    made = Resampler(from_hz, to_hz, samples.shape[1])
    return np.concatenate([made.add(samples), made.flush()])


def sine(hz: float, count: int, rate_hz: int) -> Array:
    wave: Array = np.sin(2 * np.pi * hz * np.arange(count) / rate_hz).astype(np.float32)[:, None]
    return wave


def decibels(error: Array) -> float:
    """Return how loud this is against a full sine."""
    return float(10 * np.log10(np.mean(np.square(error, dtype=np.float64)) / 0.5))


@RATES
def test_blocks_of_any_size_are_one_sound_to_the_bit(from_hz: int, to_hz: int) -> None:
    numbers = np.random.default_rng(0)
    samples = numbers.standard_normal((from_hz // 2, 2)).astype(np.float32)
    made = Resampler(from_hz, to_hz, 2)
    blocks = [made.add(block) for block in np.split(samples, np.sort(numbers.integers(0, len(samples), 60)))]
    blocks.append(made.flush())
    assert np.array_equal(np.concatenate(blocks), at_once(samples, from_hz, to_hz))


@RATES
def test_a_second_stays_a_second(from_hz: int, to_hz: int) -> None:
    assert len(at_once(np.zeros((from_hz, 1), np.float32), from_hz, to_hz)) == to_hz


@RATES
def test_a_tone_stays_the_tone_in_pitch_level_and_place(from_hz: int, to_hz: int) -> None:
    for hz in (100, 1000, 0.4 * min(from_hz, to_hz)):
        made = at_once(sine(hz, from_hz, from_hz), from_hz, to_hz)
        middle = slice(to_hz // 4, -to_hz // 4)
        assert decibels((made - sine(hz, to_hz, to_hz))[middle]) < -75


@pytest.mark.parametrize("hz", [8100, 10000, 15000, 21000])
def test_what_the_new_rate_cannot_hold_is_not_mirrored_into_it(hz: float) -> None:
    made = at_once(sine(hz, 44100, 44100), 44100, 16000)
    assert decibels(made[4000:-4000]) < -75


def test_leaving_samples_out_would_mirror_it() -> None:
    assert decibels(sine(10000, 48000, 48000)[::3]) > -1


def test_what_is_asked_for_is_enough_and_one_less_is_not() -> None:
    made = Resampler(44100, 16000, 1)
    for count in (1, 480, 7, 480):
        needed = made.needed(count)
        assert len(made.add(np.zeros((needed - 1, 1), np.float32))) < count
        made = Resampler(44100, 16000, 1)
        assert len(made.add(np.zeros((made.needed(count), 1), np.float32))) >= count


def test_rates_without_a_common_measure_are_met_to_a_thousandth() -> None:
    assert len(at_once(np.zeros((100_003, 1), np.float32), 100_003, 77_777)) == pytest.approx(77_777, rel=1e-3)
