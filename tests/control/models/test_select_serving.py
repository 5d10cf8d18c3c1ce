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
from inferd.control.models.models import Models
from inferd.control.models.persistent_model_state import PersistentModelState
from inferd.control.models.select_serving import RETRY_NS, ModelEnvironment
from inferd.control.processes.supervisor import LOOP, Death
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
        state = PersistentModelState(folder, options, self.clock, "boot")
        drop_folder = DropFolder(folder / "models", options, self.clock)
        self.models = Models(ModelEnvironment(state, drop_folder, options, "", self.clock))
        self.models.configure((pipeline(engine=fake()),))
        (self.one,) = self.models.keys
        self.one.queue.look_again_ns = 0
        for digest in (OLD, NEW) if before else (NEW,):
            self._take(digest)

    def _take(self, digest: str) -> None:
        described = describe_fake(ipc.Examine("fake", settings.Overrides(), fake(), ""))
        ref = ModelRef("fake", "", digest)
        state = self.models.state
        self.one.held[digest] = Accepted(_with(described, ref), INFO, None)
        state.apply(slots.arrive, Version(digest, "fake", task="classify"), digest[:4], 0.0)
        state.apply(slots.judge, KEY, digest, VetVerdict("", accepted=True))
        state.apply(slots.begin, KEY, digest, "boot", 0.0)
        if digest == OLD:
            state.apply(slots.commit, KEY, 0.0)
        self.models.serving.select(self.one)
        self.models.pop_changed()

    def served(self) -> str:
        """Return the model that is to serve."""
        return self.one.selected.description.ref.digest if self.one.selected is not None else ""

    def loaded(self, digest: str) -> None:
        """Have the worker report that it loaded a model."""
        self.models.handle_message(ipc.OfferTaken(KEY, ModelRef("fake", "", digest), INFO, swapped=True, pause_ms=0.1))

    def not_loaded(self, digest: str, why: str) -> None:
        """Have the worker report that it could not load a model."""
        self.models.handle_message(ipc.OfferRefused(KEY, ModelRef("fake", "", digest), why))

    def results(self, count: int) -> None:
        """Have the worker take the new model and give so many results with it."""
        self.loaded(NEW)
        for _ in range(2):  # the first counts are mixed with those of the model before
            latency = {stage: Histogram().drain() for stage in STAGES}
            counts = ipc.PipelineCounts(count, count, {}, count, 0, 0, latency)  # type: ignore[arg-type]  # all stages
            self.models.handle_message(ipc.Counts(0.5, {"cam": counts}, 0))

    def nothing(self) -> None:
        """Have the worker tell of no result."""
        self.models.handle_message(ipc.Counts(0.5, {}, 0))


def _with(described: ModelDescription, ref: ModelRef) -> ModelDescription:
    return msgspec.structs.replace(described, ref=ref)


def test_where_a_model_on_trial_does_not_load_the_one_before_is_offered_again(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.not_loaded(NEW, "no memory")
    assert (it.served(), it.models.pop_changed()) == (OLD, {KEY})
    assert it.models.state.state.quarantine[NEW].code == "load_failed"


def test_a_model_that_served_and_does_not_load_is_offered_again_later(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.not_loaded(NEW, "no memory")
    it.models.pop_changed()
    it.not_loaded(OLD, "no memory")
    it.models.serving.offer_due()
    assert it.models.pop_changed() == set()
    it.clock.advance(RETRY_NS / 1e9)
    it.models.serving.offer_due()
    assert it.models.pop_changed() == {KEY}
    it.models.serving.offer_due()
    assert it.models.pop_changed() == set()


def test_a_trial_asks_for_a_replay_before_it_ends(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    questions = it.models.pop_replays()
    assert [(one.engine_key, one.digest, one.always) for one, _ in questions] == [(KEY, NEW, False)]
    assert it.models.state.state.of(KEY).trial is not None


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
    it.models.pop_replays()
    why = "" if found in ("fine", "alike") else "it says 1 of all"
    it.models.handle_message(ipc.ShadowReplayDone(KEY, NEW, found, why))  # type: ignore[arg-type]  # right words
    state = it.models.state.state
    assert (it.served(), state.of(KEY).active, state.log[-1].kind) == (serves, serves, kind)


@pytest.mark.parametrize(("found", "kind"), [("differs", "model.committed"), ("collapsed", "model.doubtful")])
def test_a_model_with_other_labels_is_meant_to_answer_otherwise(tmp_path: Path, found: str, kind: str) -> None:
    it = Trying(tmp_path)
    other = it.one.held[NEW].description
    it.one.held[NEW] = replace(it.one.held[NEW], description=msgspec.structs.replace(other, labels=("a", "b")))
    it.results(20)
    it.models.handle_message(ipc.ShadowReplayDone(KEY, NEW, found, "it says a of all"))  # type: ignore[arg-type]  # right words
    assert it.models.state.state.log[-1].kind == kind


def test_the_model_that_comes_with_inferd_is_nothing_to_compare_with(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.models.state.apply(slots.arrive, Version(OLD, "fake", task="classify"), FACTORY, 0.0)
    it.results(20)
    assert it.models.pop_replays() == []


def test_an_answer_that_never_comes_holds_no_trial_for_ever(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.clock.advance(120.0)
    it.models.handle_message(ipc.Counts(0.5, {}, 0))
    assert it.models.state.state.of(KEY).active == NEW


def test_the_first_model_there_is_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    it = Trying(tmp_path, before=False)
    it.results(20)
    assert it.models.pop_replays() == []
    assert it.models.state.state.of(KEY).active == NEW


def test_a_model_that_cannot_serve_any_more_is_asked_about_only_when_it_does_again(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.models.serves_nothing(it.one)
    assert it.models.pop_replays() == []
    it.clock.advance(120.0)
    it.nothing()
    assert it.models.state.state.of(KEY).trial is not None
    it.results(20)
    assert len(it.models.pop_replays()) == 1


def test_a_model_that_never_serves_again_is_not_on_trial_for_ever(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    for _ in range(2):  # the end of its time, then that of the question
        it.models.serves_nothing(it.one)  # at each plan
        it.clock.advance(LONGEST * settings.ModelsConfig().trial_s)
        it.nothing()
    assert it.models.state.state.of(KEY).trial is None


def test_nobody_is_blamed_where_the_worker_dies_while_the_model_before_is_run(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.models.pop_replays()
    it.models.worker_ended(Death((), "was killed by SIGSEGV", reaped=True, replaying=True))
    state = it.models.state.state
    assert (state.of(KEY).active, state.log[-1].kind, state.quarantine) == (NEW, "model.doubtful", {})
    assert "SIGSEGV while the model before was shown its frames" in state.log[-1].why


HUNG = Death((), f"{LOOP} {KEY} made no progress for 10.0 s", reaped=True, cause="hung")


def committed(folder: Path) -> Trying:
    """Return a new model that was committed in place of the old one."""
    it = Trying(folder)
    it.models.state.apply(slots.commit, KEY, 0.0)
    it.models.serving.select(it.one)
    it.models.pop_changed()
    return it


def test_a_committed_model_that_hangs_again_and_again_is_given_up_for_the_one_before(tmp_path: Path) -> None:
    it = committed(tmp_path)
    for _ in range(settings.ModelsConfig().faults_a_day - 1):
        it.models.worker_ended(HUNG)
        it.clock.advance(3600.0)
    assert it.served() == NEW
    it.models.worker_ended(HUNG)
    state = it.models.state.state
    assert (it.served(), state.of(KEY).active, it.models.pop_changed()) == (OLD, OLD, {KEY})
    assert (state.quarantine[NEW].code, state.log[-1].kind) == ("hang", "model.rolled_back")
    assert "5 times within a day" in state.log[-1].why
    it.models.worker_ended(HUNG)
    assert it.served() == OLD


def test_a_crash_counts_for_the_only_model_that_was_at_work(tmp_path: Path) -> None:
    it = committed(tmp_path)
    for _ in range(20):
        it.models.worker_ended(Death((KEY, "other"), "was killed by SIGSEGV", reaped=True))
        it.models.worker_ended(Death((KEY,), "was killed by SIGSEGV", reaped=True), excused={KEY})
    assert it.served() == NEW
    for _ in range(5):
        it.models.worker_ended(Death((KEY,), "was killed by SIGSEGV", reaped=True))
    assert it.served() == OLD


def test_hangs_on_different_days_are_not_added_up(tmp_path: Path) -> None:
    it = committed(tmp_path)
    for _ in range(20):
        it.models.worker_ended(HUNG)
        it.clock.advance(6 * 3600.0)
    assert it.served() == NEW


def test_a_model_that_hangs_goes_on_where_there_is_none_to_go_back_to(tmp_path: Path) -> None:
    it = Trying(tmp_path, before=False)
    it.models.state.apply(slots.commit, KEY, 0.0)
    it.models.serving.select(it.one)
    for _ in range(20):
        it.models.worker_ended(HUNG)
    assert it.served() == NEW


def test_a_replay_that_was_ended_for_another_reason_is_asked_for_again(tmp_path: Path) -> None:
    it = Trying(tmp_path)
    it.results(20)
    it.models.pop_replays()
    it.models.worker_ended(Death((), "ended", reaped=True, replaying=True), excused={KEY})
    it.results(20)
    assert len(it.models.pop_replays()) == 1
