"""Short forms of the campaigns that `make soak` runs at length."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.campaigns.kills import kill_at_random
from fixtures.campaigns.mutations import drop_mutated
from fixtures.campaigns.overwrites import overwrite_at_random

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_killing_anybody_at_any_instant_leaves_a_valid_model(tmp_path: Path) -> None:
    told = kill_at_random(tmp_path, times=15, seed=1)
    assert (told.without_model, told.damaged, told.silent, told.backwards) == (0, [], [], [])
    assert told.kills.total() == 15
    assert told.writing.total() > 0


def test_overwriting_a_serving_models_file_in_any_manner_ends_only_the_bare_interpreter(tmp_path: Path) -> None:
    told = overwrite_at_random(tmp_path, times=40, seed=1)
    assert len(told.workers) == 1
    assert (told.not_served, told.forgotten, told.unnamed, told.factory) == ([], set(), [], 0)
    assert all(line.model and line.why for line in told.refused)
    assert "-7" in told.deaths  # SIGBUS


def test_no_mutated_model_serves_that_answers_otherwise(tmp_path: Path) -> None:
    told = drop_mutated(tmp_path, times=100, seed=1)
    assert not told.agent_died
    assert (told.outside, told.unexplained) == ({}, [])
    assert told.ends.total() == 100
    assert 0 < len(told.served) < 100
