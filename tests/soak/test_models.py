"""Long campaigns against a running agent; `make soak` runs them. INFERD_SOAK_SEED repeats one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from fixtures.campaigns.bad_conditions import update_in_weathers
from fixtures.campaigns.kills import kill_at_random
from fixtures.campaigns.mutations import drop_mutated
from fixtures.campaigns.overwrites import overwrite_at_random

pytestmark = [pytest.mark.soak, pytest.mark.timeout(6 * 3600)]

SEED = int(os.environ.get("INFERD_SOAK_SEED", random.randrange(1 << 30)))  # noqa: S311 - no secret
MID_WRITE = 0.3  # share of the kills that must come upon a file being written


def test_a_thousand_kills_leave_a_valid_model_each_time(tmp_path: Path) -> None:
    told = kill_at_random(tmp_path, times=1000, seed=SEED)
    assert (told.without_model, told.damaged, told.silent, told.backwards) == (0, [], [], []), SEED
    assert told.writing.total() >= MID_WRITE * told.kills.total(), SEED


def test_a_thousand_overwrites_end_only_the_bare_interpreter_and_lose_no_frame(tmp_path: Path) -> None:
    told = overwrite_at_random(tmp_path, times=1000, seed=SEED)
    assert len(told.workers) == 1, SEED
    assert (told.not_served, told.forgotten, told.unnamed, told.factory) == ([], set(), [], 0), SEED
    assert all(line.model and line.why for line in told.refused), SEED
    assert "-7" in told.deaths, SEED  # SIGBUS
    assert told.lost_beyond == 0, SEED


def test_two_thousand_mutated_models_cost_no_agent_and_none_serves_that_answers_otherwise(tmp_path: Path) -> None:
    told = drop_mutated(tmp_path, times=2000, seed=SEED)
    assert not told.agent_died, SEED
    assert (told.outside, told.unexplained) == ({}, []), SEED
    assert told.ends.total() == 2000, SEED


def test_a_thousand_good_updates_in_bad_weather_are_all_committed(tmp_path: Path) -> None:
    told = update_in_weathers(tmp_path, times=1000, seed=SEED)
    assert told.blamed == [], SEED
    assert sum(told.committed.values()) == 1000, SEED
