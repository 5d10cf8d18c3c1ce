"""What becomes of a model that the worker cannot load, or of which it says whose doing its answers are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fixtures.agents.fake_pipeline import fake, pipeline
from inferd import ipc
from inferd.config import settings
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.engine_keys import Followed
from inferd.control.models.model_state import PersistentModelState
from inferd.control.models.serving import AGAIN_NS, ModelEnvironment, Serving
from inferd.control.processes.supervisor import Death
from inferd.control.processes.vet_job import Accepted
from inferd.histogram import Histogram
from inferd.records import EngineInfo, ModelRef
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.state import FACTORY, Version, VetVerdict
from inferd.store.lifecycle.trial import LONGEST
from inferd.system.clock import CountingClock
from inferd.vet.child import describe_fake
from inferd.wire.manifest import ModelDescription

KEY, OLD, NEW = "fake", "0" * 64, "1" * 64
INFO = EngineInfo("fake", "", "", "cpu", 1, 0, 1, 0.0, 0.0, (), ())
STAGES = ("capture", "preprocess", "invoke", "decode", "total", "frame_age")


class Trying:
    """A new model on trial in place of an old one, without any process."""

    def __init__(self, folder: Path, *, before: bool = True) -> None:
        self.clock = CountingClock()
        options = settings.ModelsConfig(trial_results=10)
        life = PersistentModelState(folder, options, self.clock, "boot")
        self.serving = Serving(
            ModelEnvironment(life, DropFolder(folder / "models", options, self.clock), options, "", self.clock)
        )
        self.one = self.serving.followed[KEY] = Followed(KEY, 1, (pipeline(engine=fake()),))
        for digest in (OLD, NEW) if before else (NEW,):
            self._take(digest)

    def _take(self, digest: str) -> None:
        described = describe_fake(ipc.Examine("fake", settings.Overrides(), fake(), ""))
        ref = ModelRef("fake", "", digest)
        life = self.serving.life
        self.one.held[digest] = Accepted(_with(described, ref), INFO, None)
        life.take(slots.arrive, Version(digest, "fake", task="classify"), digest[:4], 0.0)
        life.take(slots.judge, KEY, digest, VetVerdict("", accepted=True))
        life.take(slots.begin, KEY, digest, "boot", 0.0)
        if digest == OLD:
            life.take(slots.commit, KEY, 0.0)
        self.serving.reconsider(self.one)
        self.serving.take_changed()

    def served(self) -> str:
        """Return the model that is to serve."""
        return self.one.accepted.description.ref.digest if self.one.accepted is not None else ""

    def results(self, count: int) -> None:
        """Have the worker take the new model and give so many results with it."""
        self.serving.taken(KEY, NEW)
        for _ in range(2):  # the first counts are mixed with those of the model before
            latency = {stage: Histogram().drain() for stage in STAGES}
            counts = ipc.PipelineCounts(count, count, {}, count, 0, 0, latency)  # type: ignore[arg-type]  # all stages
            self.serving.counted(ipc.Counts(0.5, {"cam": counts}, 0))

    def nothing(self) -> None:
        """Have the worker tell of no result."""
        self.serving.counted(ipc.Counts(0.5, {}, 0))


def _with(described: ModelDescription, ref: ModelRef) -> ModelDescription:
    return msgspec.structs.replace(described, ref=ref)


def test_where_a_model_on_trial_does_not_load_the_one_before_is_offered_again(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.serving.not_loaded(KEY, NEW, "no memory")
    assert (it.served(), it.serving.take_changed()) == (OLD, {KEY})
    assert it.serving.life.state.quarantine[NEW].code == "load_failed"


def test_a_model_that_served_and_does_not_load_is_offered_again_later(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.serving.not_loaded(KEY, NEW, "no memory")
    it.serving.take_changed()
    it.serving.not_loaded(KEY, OLD, "no memory")
    it.serving.offer_again()
    assert it.serving.take_changed() == set()
    it.clock.advance(AGAIN_NS / 1e9)
    it.serving.offer_again()
    assert it.serving.take_changed() == {KEY}
    it.serving.offer_again()
    assert it.serving.take_changed() == set()


def test_a_trial_asks_for_a_replay_before_it_ends(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    questions = it.serving.take_questions()
    assert [(one.engine_key, one.digest, one.always) for one, _ in questions] == [(KEY, NEW, False)]
    assert it.serving.life.state.of(KEY).trial is not None


@pytest.mark.parametrize(
    ("found", "serves", "kind"),
    [
        ("fine", NEW, "model.committed"),
        ("alike", NEW, "model.committed"),
        ("differs", NEW, "model.doubtful"),
        ("unknown", NEW, "model.doubtful"),
        ("collapsed", OLD, "model.rolled_back"),
    ],
)
def test_what_the_replay_finds_ends_the_trial(tmp_path: Path, found: str, serves: str, kind: str) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.serving.take_questions()
    why = "" if found in ("fine", "alike") else "it says 1 of all"
    it.serving.replayed(ipc.ShadowReplayDone(KEY, NEW, found, why))  # type: ignore[arg-type]  # right words
    state = it.serving.life.state
    assert (it.served(), state.of(KEY).active, state.log[-1].kind) == (serves, serves, kind)


@pytest.mark.parametrize(("found", "kind"), [("differs", "model.committed"), ("collapsed", "model.doubtful")])
def test_a_model_with_other_labels_is_meant_to_answer_otherwise(tmp_path: Path, found: str, kind: str) -> None:
    it = Trying(tmp_path)
    other = it.one.held[NEW].description
    it.one.held[NEW] = replace(it.one.held[NEW], description=msgspec.structs.replace(other, labels=("a", "b")))
    it.results(20)
    it.serving.replayed(ipc.ShadowReplayDone(KEY, NEW, found, "it says a of all"))  # type: ignore[arg-type]  # right words
    assert it.serving.life.state.log[-1].kind == kind


def test_the_model_that_comes_with_inferd_is_nothing_to_compare_with(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.serving.life.take(slots.arrive, Version(OLD, "fake", task="classify"), FACTORY, 0.0)
    it.results(20)
    assert it.serving.take_questions() == []


def test_an_answer_that_never_comes_holds_no_trial_for_ever(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.clock.advance(120.0)
    it.serving.counted(ipc.Counts(0.5, {}, 0))
    assert it.serving.life.state.of(KEY).active == NEW


def test_the_first_model_there_is_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    it = Trying(tmp_path, before=False)
    it.results(20)
    assert it.serving.take_questions() == []
    assert it.serving.life.state.of(KEY).active == NEW


def test_a_model_that_cannot_serve_any_more_is_asked_about_only_when_it_does_again(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.serving.cannot_serve(KEY)
    assert it.serving.take_questions() == []
    it.clock.advance(120.0)
    it.nothing()
    assert it.serving.life.state.of(KEY).trial is not None
    it.results(20)
    assert len(it.serving.take_questions()) == 1


def test_a_model_that_never_serves_again_is_not_on_trial_for_ever(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    for _ in range(2):  # the end of its time, then that of the question
        it.serving.cannot_serve(KEY)  # at each plan
        it.clock.advance(LONGEST * settings.ModelsConfig().trial_s)
        it.nothing()
    assert it.serving.life.state.of(KEY).trial is None


def test_nobody_is_blamed_where_the_worker_dies_while_the_model_before_is_run(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.serving.take_questions()
    it.serving.worker_ended(Death((), "was killed by SIGSEGV", reaped=True, replaying=True))
    state = it.serving.life.state
    assert (state.of(KEY).active, state.log[-1].kind, state.quarantine) == (NEW, "model.doubtful", {})
    assert "SIGSEGV while the model before was shown its frames" in state.log[-1].why


def test_a_replay_that_was_ended_for_another_reason_is_asked_for_again(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.serving.take_questions()
    it.serving.worker_ended(Death((), "ended", reaped=True, replaying=True), excused={KEY})
    it.results(20)
    assert len(it.serving.take_questions()) == 1
