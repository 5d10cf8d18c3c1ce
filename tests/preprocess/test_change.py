"""Which frames the model is shown: what must be seen is seen, what is noise is not, and nothing waits for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from inferd.config.settings import ChangeConfig, MaskConfig
from inferd.preprocess.change import ChangeGate
from inferd.records import Array, Frame

HEIGHT, WIDTH = 480, 640
TILE_PX = 64  # a tile of the grid, in pixels of the picture; at 480 rows it is 68 high
SECOND = 1_000_000_000


def frame(data: Array, at_s: float = 0.0) -> Frame:
    return Frame(data=data, seq=0, taken_ns=round(at_s * SECOND) + SECOND, taken_at=0.0)


def scene(rng: np.random.Generator, noise: float = 2.0) -> Array:
    """Return a grey picture of a fixed gradient with the noise of a sensor."""
    base = np.linspace(60, 180, WIDTH, dtype=np.float32)[None, :] + np.zeros((HEIGHT, 1), np.float32)
    grain = rng.standard_normal((HEIGHT, WIDTH), np.float32) * np.float32(noise)
    return np.clip(base + grain, 0, 255).astype(np.uint8)


def opened(**options: object) -> ChangeGate:
    return ChangeGate(ChangeConfig(enabled=True, max_interval_s=3600.0, **options))  # type: ignore[arg-type]  # right keys


def test_a_static_scene_is_shown_once_and_then_at_the_longest_interval_only() -> None:
    gate = ChangeGate(ChangeConfig(enabled=True, max_interval_s=2.0))
    rng = np.random.default_rng(1)
    passed = [at for at in range(300) if gate.passes(frame(scene(rng), at / 30))]
    assert passed == [0, 60, 120, 180, 240]


@settings(deadline=None, max_examples=30)
@given(
    top=some.integers(0, HEIGHT - TILE_PX - 6),
    left=some.integers(0, WIDTH - TILE_PX),
    contrast=some.integers(27, 60),
    seed=some.integers(0, 99),
)
def test_an_object_of_the_stated_size_and_contrast_is_seen_wherever_it_lies(
    top: int, left: int, contrast: int, seed: int
) -> None:
    gate, rng = opened(), np.random.default_rng(seed)
    for at in range(5):
        gate.passes(frame(scene(rng, 0.5), at / 30))
    changed = scene(rng, 0.5).astype(np.int16)
    changed[top : top + TILE_PX + 6, left : left + TILE_PX + 6] += contrast
    assert gate.passes(frame(np.clip(changed, 0, 255).astype(np.uint8), 1.0))


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0, 15.0])
def test_noise_of_a_sensor_is_no_change_once_it_is_learned(noise: float) -> None:
    gate, rng = opened(), np.random.default_rng(2)
    for at in range(30):
        gate.passes(frame(scene(rng, noise), at / 30))
    assert sum(gate.passes(frame(scene(rng, noise), 1 + at / 30)) for at in range(300)) == 0


def test_what_moves_in_one_place_all_the_time_is_always_shown() -> None:
    gate, rng = opened(), np.random.default_rng(6)
    shown = []
    for at in range(300):
        picture = scene(rng, 2.0)
        picture[100:200, 100:200] = 40 if at % 2 else 200
        shown.append(gate.passes(frame(picture, at / 30)))
    assert all(shown)


def test_a_camera_that_pans_is_shown() -> None:
    gate, rng = opened(), np.random.default_rng(7)
    wide = rng.integers(0, 255, (60, 200), np.uint8).repeat(8, 0).repeat(8, 1)
    for at in range(30):
        gate.passes(frame(wide[:, :WIDTH], at / 30))
    assert all(gate.passes(frame(wide[:, 16 * at : 16 * at + WIDTH], 1 + at / 30)) for at in range(1, 6))


def test_light_that_is_switched_on_is_shown() -> None:
    gate, rng = opened(), np.random.default_rng(8)
    for at in range(60):
        gate.passes(frame(scene(rng, 5.0) // 4, at / 30))
    assert gate.passes(frame(scene(rng, 5.0), 3.0))


def test_a_slow_drift_of_light_is_shown_when_it_adds_up() -> None:
    gate, rng = opened(), np.random.default_rng(3)
    passed = [gate.passes(frame(np.clip(scene(rng, 1.0) + np.uint8(at // 10), 0, 255), at / 30)) for at in range(300)]
    assert 2 <= sum(passed) <= 12


def test_a_masked_part_is_not_looked_at() -> None:
    corner = MaskConfig(points=((0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 0.0)), use="change")
    for masks, seen in (((), True), ((corner,), False)):
        gate = ChangeGate(ChangeConfig(enabled=True, max_interval_s=3600.0), masks)
        gate.passes(frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
        changed = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        changed[:200, :260] = 200
        assert gate.passes(frame(changed, 1.0)) is seen


def test_two_changes_within_the_shortest_interval_are_one() -> None:
    gate = opened(min_interval_s=1.0)
    pictures = [np.full((HEIGHT, WIDTH), level, np.uint8) for level in (0, 200)]
    passed = [gate.passes(frame(pictures[at % 2], at / 10)) for at in range(21)]
    assert [at for at, one in enumerate(passed) if one] == [0, 11]


def test_another_size_of_picture_is_a_change() -> None:
    gate = opened()
    assert gate.passes(frame(np.zeros((HEIGHT, WIDTH), np.uint8)))
    assert gate.passes(frame(np.zeros((HEIGHT // 2, WIDTH), np.uint8), 0.1))
    assert not gate.passes(frame(np.zeros((HEIGHT // 2, WIDTH), np.uint8), 0.2))


def test_a_sound_above_the_quiet_is_shown_and_quiet_is_not() -> None:
    gate, rng = opened(), np.random.default_rng(4)
    for at in range(50):
        gate.passes(frame(rng.normal(0, 0.01, (1600, 1)).astype(np.float32), at / 10))
    quiet = [gate.passes(frame(rng.normal(0, 0.01, (1600, 1)).astype(np.float32), 5 + at / 10)) for at in range(50)]
    assert not any(quiet)
    assert gate.passes(frame(rng.normal(0, 0.05, (1600, 1)).astype(np.float32), 11.0))


def test_a_sensor_that_moves_to_another_value_is_shown() -> None:
    gate, rng = opened(), np.random.default_rng(5)
    for at in range(50):
        gate.passes(frame((9.8 + rng.normal(0, 0.02, (100, 3))).astype(np.float32), at / 10))
    assert gate.passes(frame((np.array([9.8, 9.8, 0.0]) + rng.normal(0, 0.02, (100, 3))).astype(np.float32), 6.0))


def test_missing_values_and_tensors_end_no_gate() -> None:
    gate = opened()
    holes = np.full((10, 2), np.nan, np.float32)
    assert [gate.passes(frame(holes, at)) for at in range(3)] == [True, False, False]
    assert gate.passes(Frame(data={"x": holes}, seq=0, taken_ns=0, taken_at=0.0))


def test_off_it_shows_everything() -> None:
    gate = ChangeGate(ChangeConfig())
    assert all(gate.passes(frame(np.zeros((8, 8), np.uint8), at)) for at in range(3))
