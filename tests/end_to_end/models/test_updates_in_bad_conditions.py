"""Good updates in bad weather: whatever the world does, no model is blamed for it. The long form is `make soak`'s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.drop_folder_agent import Dropping, agent
from fixtures.campaigns.bad_conditions import BLIND, OPTIONS, World, await_item, drop_digits, update_in_weathers

OFTEN = 70  # invokes: more than it serves for in the test, fewer than a replay makes of it
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


def test_a_model_before_that_crashes_when_it_is_shown_the_frames_takes_nobody_with_it(tmp_path: Path) -> None:
    quick = "look_every_s = 0.1\nsettle_s = 0.2\ntrial_s = 60.0\ntrial_results = 10"
    with agent(tmp_path, quick, fps=3) as it:
        it.drop("old", f"invoke_ms = 20.0\ncrash_at = {OFTEN}")
        it.await_active("old")
        it.drop("new", "invoke_ms = 20.0")
        why = it.await_line("model.doubtful", "new").why
        assert "SIGSEGV while the model before was shown its frames" in why, it.running.log()
        assert it.state().quarantine == {}
        results = it.results.count
        assert wait_for(lambda: it.results.count > results + 3)
        assert it.slots() == ("new", "new")
