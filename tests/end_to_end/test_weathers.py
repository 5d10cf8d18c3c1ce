"""Good updates in bad weather: whatever the world does, no model is blamed for it. The long form is `make soak`'s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.dropping import Dropping, agent
from fixtures.weather import BLIND, OPTIONS, World, await_item, drop_digits, update_in_weathers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@contextmanager
def watching(folder: Path, options: str = OPTIONS, weather: str = "day") -> Iterator[Dropping]:
    """Run an agent that serves a good model by day, then have it be that weather."""
    world = World(folder)
    with agent(folder, options, 30, world.config) as it:
        drop_digits(it, folder, 0)
        await_item(it, "digits0")
        world.turn(weather)
        yield it


@pytest.mark.parametrize("weather", ["night", "covered", "empty", "gone"])
def test_no_good_update_is_blamed_for_what_the_camera_sees(tmp_path: Path, weather: str) -> None:
    told = update_in_weathers(tmp_path, times=2, seed=1, weathers=(weather,))
    assert told.blamed == []
    assert told.committed == {weather: 2}


def test_no_good_update_is_blamed_for_a_device_that_is_slowed_down(tmp_path: Path) -> None:
    told = update_in_weathers(tmp_path, times=3, seed=1, weathers=("throttled",), budget="latency_p95_ms = 5.0")
    assert told.blamed == []


def test_a_model_that_is_blind_to_what_the_one_before_tells_apart_goes_back(tmp_path: Path) -> None:
    with watching(tmp_path) as it:
        drop_digits(it, tmp_path, 1, seen=BLIND)
        why = it.await_line("model.quarantined", "digits v1.0.1").why
        assert [one.code for one in it.state().quarantine.values()] == ["collapsed"], why


def test_nobody_is_blamed_where_the_model_before_tells_nothing_apart_either(tmp_path: Path) -> None:
    with watching(tmp_path, weather="covered") as it:
        drop_digits(it, tmp_path, 1, seen=BLIND)
        it.await_line("model.committed", "digits v1.0.1")


def test_a_blind_model_is_only_told_where_no_frames_may_be_kept(tmp_path: Path) -> None:
    with watching(tmp_path, f"{OPTIONS}\nreplay_mb = 0.0") as it:
        drop_digits(it, tmp_path, 1, seen=BLIND)
        assert "no frames were kept" in it.await_line("model.doubtful", "digits v1.0.1").why
        assert it.lines("model.quarantined") == []
