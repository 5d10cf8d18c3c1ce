"""Several variants of one model are dropped: the device takes the one that suits it, by what it measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.agent import wait_for
from fixtures.dropping import WAIT_S, Dropping, agent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def serving(it: Dropping) -> str:
    """Return the variant that has proved itself."""
    state = it.state()
    active = state.versions.get(state.of("newest").active)
    return active.variant if active is not None else ""


def test_the_faster_of_two_serves_and_the_choice_is_told_with_figures(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("cat+large", "invoke_ms = 12.0")
        it.drop("cat+small", "invoke_ms = 2.0")
        assert wait_for(lambda: serving(it) == "small", WAIT_S), it.running.log()
        why = it.await_line("model.trial", "cat").why
        assert "small (" in why
        assert "large (" in why


def test_where_the_better_one_fails_the_other_serves(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("old", "invoke_ms = 12.0")
        it.await_active("old")
        it.drop("cat+large", "invoke_ms = 12.0")
        it.drop("cat+small", "invoke_ms = 2.0\ncrash_at = 40")
        it.await_line("model.quarantined", "cat")
        assert wait_for(lambda: serving(it) == "large", WAIT_S), it.running.log()
