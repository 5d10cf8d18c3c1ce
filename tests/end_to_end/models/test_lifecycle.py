"""Models are dropped into the folder of a running agent: what serves, what is refused, what goes back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.drop_folder_agent import FOLLOWS_NEWEST, WAIT_S, Dropping, agent

BUDGET = "[budget]\nlatency_p95_ms = 10.0\n"  # broken by any model on a busy machine: only the slow one has it

pytestmark = pytest.mark.timeout(240)


def test_a_dropped_model_serves_once_it_has_proved_itself(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first")
        it.await_active("first")


def test_a_better_model_takes_over_and_the_old_one_is_kept(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first")
        it.await_active("first")
        it.drop("second")
        it.await_active("second")
        state = it.state()
        assert it.name(state, state.of("newest").previous) == "first"


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        ("crash_at = 40", "crash"),
        ("hang_at = 40", "hang"),
        ("nan_from = 40", "nonfinite_output"),
        ("fail_from = 40", "errors"),
        ("slow_from = 28\nslow_ms = 30.0", "slow"),
    ],
)
def test_a_model_that_does_harm_in_its_trial_goes_back_and_is_told_once(tmp_path: Path, harm: str, code: str) -> None:
    with agent(tmp_path) as it:
        it.drop("good")
        it.await_active("good")
        it.drop("bad", harm, BUDGET if code == "slow" else "")
        it.await_line("model.quarantined", "bad")
        assert wait_for(lambda: it.slots() == ("good", "good"), WAIT_S)
        assert [why.code for why in it.state().quarantine.values()] == [code]
        assert len(it.lines("model.quarantined")) == 1
        assert wait_for(lambda: it.running.log().count("model.quarantined") == 1, WAIT_S)


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        ("crash_at_load = true", "SIGSEGV"),
        ("crash_at = 3", "SIGSEGV"),
        ("crash_at_close = true", "SIGABRT"),
        ("nan_from = 1", "NaN"),
        ("fail_at = 2", "fails at invoke 2"),
        ("scores = 7", "not a fake model"),
        ("scores = [0.1, 0.2, 0.7]", "labels"),
    ],
)
def test_a_model_that_does_harm_before_is_refused_and_never_serves(tmp_path: Path, harm: str, word: str) -> None:
    with agent(tmp_path) as it:
        it.drop("good")
        it.await_active("good")
        it.drop("bad", harm)
        assert word in it.await_line("model.refused", "bad").why
        assert it.slots() == ("good", "good")


def test_a_quarantined_model_that_is_dropped_again_is_not_tried_again(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("good")
        it.await_active("good")
        it.drop("bad", "crash_at = 40")
        it.await_line("model.quarantined", "bad")
        (it.folder / "again.tflite").write_bytes((it.folder / "bad.tflite").read_bytes())
        assert "refused before" in it.await_line("model.refused", "again.tflite").why
        assert len(it.lines("model.trial")) == 2


def test_a_model_whose_file_is_removed_goes_on_serving(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first")
        it.await_active("first")
        (it.folder / "first.tflite").unlink()
        it.await_line("model.retired", "first")
        assert it.slots() == ("first", "first")


def test_a_model_whose_file_is_removed_while_it_is_vetted_does_not_come_to_serve(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("good")
        it.await_active("good")
        it.drop("late", "load_ms = 1000.0")
        copies = it.state_dir / "bundles"
        assert wait_for(lambda: list(copies.glob(".unfinished-*/late.tflite")), WAIT_S)
        time.sleep(0.3)  # the copy is described, and its second of loading has begun
        (it.folder / "late.tflite").unlink()
        it.await_line("model.retired", "late")
        assert it.slots() == ("good", "good")


def kill_vet(it: Dropping) -> None:
    """Kill the vet child at work, as the kernel does where memory runs out."""
    assert wait_for(lambda: "inferd-vet" in it.running.children(), WAIT_S), it.running.log()
    vet = it.running.children()["inferd-vet"]
    os.kill(vet, signal.SIGKILL)
    assert wait_for(lambda: it.running.children().get("inferd-vet") != vet, WAIT_S)


def test_one_kill_of_a_vet_child_is_not_held_against_its_model(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first", "load_ms = 500.0")
        kill_vet(it)
        it.await_active("first")


def test_a_model_whose_vet_child_is_killed_twice_is_refused(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first", "load_ms = 500.0")
        kill_vet(it)
        kill_vet(it)
        assert "killed by SIGKILL" in it.await_line("model.refused", "first").why


def test_one_kill_of_a_vet_child_at_the_start_takes_no_model_away(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first", "load_ms = 500.0")
        it.await_active("first")
    with agent(tmp_path) as it:
        kill_vet(it)
        assert wait_for(lambda: it.results.count, WAIT_S)
        assert it.lines("model.rolled_back") == []


def test_a_link_in_the_drop_folder_is_refused_by_name(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        (it.folder / "cat.tflite").symlink_to("/etc/passwd")
        assert "symbolic link" in it.await_line("model.refused", "cat.tflit").why


def test_after_a_kill_the_model_that_served_serves_again_without_its_file(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first")
        it.await_active("first")
        (it.folder / "first.tflite").unlink()
        it.await_line("model.retired", "first")
        it.running.process.send_signal(signal.SIGKILL)
        it.running.process.wait()
    with agent(tmp_path) as it:
        assert wait_for(lambda: "model active: first" in it.running.log(), WAIT_S)


def test_a_trial_goes_on_after_the_agent_was_killed(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("first")
        it.await_active("first")
        it.drop("second")
        it.await_line("model.trial", "second")
        it.running.process.send_signal(signal.SIGKILL)
        it.running.process.wait()
    with agent(tmp_path) as it:
        it.await_active("second")


def test_one_kill_of_the_worker_from_outside_is_not_held_against_the_model_on_trial(tmp_path: Path) -> None:
    with agent(tmp_path, fps=10) as it:
        it.drop("first")
        it.await_active("first")
        it.drop("second")
        assert wait_for(lambda: "model active: second" in it.running.log(), WAIT_S)
        os.kill(it.running.children()["inferd-worker"], signal.SIGKILL)
        it.await_active("second")


def test_a_model_that_was_dropped_before_any_pipeline_followed_it_is_taken_at_the_reload(tmp_path: Path) -> None:
    follows_none = FOLLOWS_NEWEST.replace('name = "cam"', 'name = "other"\nmodel = "fake"')
    with agent(tmp_path, config=follows_none) as it:
        it.drop("cat")
        assert wait_for(lambda: it.results.count, WAIT_S)
        time.sleep(1.0)  # five times what it takes to be looked at and found whole
        config = tmp_path / "inferd.toml"
        config.write_text(config.read_text() + "[[pipeline]]" + FOLLOWS_NEWEST.split("[[pipeline]]")[1] % 60)
        it.running.process.send_signal(signal.SIGHUP)
        it.await_line("model.committed", "cat")
