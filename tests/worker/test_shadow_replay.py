"""Two models are shown the same frames: what speaks against the one on trial."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fixtures.agents.fake_pipeline import fake, pipeline
from inferd import ipc
from inferd.config import settings
from inferd.health.collapse import AnswerDigest
from inferd.health.recent import AnsweredFrame, RecentAnswers
from inferd.pipeline import PipelineQueue
from inferd.sources.synthetic import Synthetic
from inferd.system.clock import CountingClock, SystemClock
from inferd.system.threads import Condition
from inferd.vet.child import describe_fake
from inferd.worker.shadow_replay import ShadowReplayRequest, settle, summed_up

DIGEST = "1" * 64


def queue(said: list[AnswerDigest], *, frames: bool = True) -> PipelineQueue:
    """Return a queue whose model on trial said this."""
    source = Synthetic(settings.SyntheticSource(width=64, height=48), SystemClock())
    made = PipelineQueue(pipeline(), Condition())
    turns = tuple(AnsweredFrame(one, source.read(1) if frames else None) for one in said)
    made.recent = RecentAnswers(digest=DIGEST, turns=turns, took_ns=(2_000_000,) * 9 + (8_000_000,))
    return made


def asked(*, always: bool = False, fits: bool = True, **behaviour: object) -> ShadowReplayRequest:
    """Return the question whether this model answers alike."""
    engine = fake(**behaviour)
    description = describe_fake(ipc.Examine("fake", settings.Overrides(), engine, ""))
    return ShadowReplayRequest(ipc.ShadowReplay("cam", DIGEST, description, engine, always=always), "", fits)


def settled(question: ShadowReplayRequest, made: PipelineQueue) -> ipc.ShadowReplayDone:
    """Return what came of a replay, all its turns made."""
    told: list[ipc.ShadowReplayDone] = []

    def turns() -> Iterator[None]:
        told.append((yield from settle(question, {"cam": made}, CountingClock())))

    for _ in turns():
        pass
    return told[0]


def found(question: ShadowReplayRequest, made: PipelineQueue) -> tuple[str, str]:
    told = settled(question, made)
    return told.found, told.why


ALL_ONE = [AnswerDigest("class 1", 0.9)] * 12
VARIED = [AnswerDigest(f"class {number % 3}", 0.9) for number in range(12)]


def test_answers_that_vary_need_no_replay() -> None:
    told = settled(asked(crash_at_load=True), queue(VARIED))
    assert (told.found, told.before) == ("fine", None)


def test_where_the_model_before_answers_alike_nobody_is_blamed() -> None:
    assert found(asked(), queue(ALL_ONE)) == ("alike", "")


def test_where_the_model_before_says_something_else_that_is_told() -> None:
    assert found(asked(scores=(0.9, 0.1)), queue(ALL_ONE))[0] == "differs"


def test_without_frames_or_memory_or_a_model_before_it_cannot_be_settled() -> None:
    alone = asked()
    nobody = ShadowReplayRequest(ipc.ShadowReplay("cam", DIGEST, None, fake()), "", fits=True)
    told = [
        found(alone, queue(ALL_ONE, frames=False)),
        found(asked(fits=False), queue(ALL_ONE)),
        found(nobody, queue(ALL_ONE)),
    ]
    assert [kind for kind, _ in told] == ["unknown"] * 3
    assert [word in why for word, (_, why) in zip(("replay_mb", "memory", "cannot be run"), told, strict=True)] == [
        True
    ] * 3


def test_a_model_before_that_fails_settles_nothing() -> None:
    kind, why = found(asked(fail_from=1), queue(ALL_ONE))
    assert kind == "unknown"
    assert "the previous model fails" in why


def test_a_slow_model_before_gives_its_answers_all_the_same() -> None:
    assert found(asked(scores=(0.9, 0.1), invoke_ms=3000.0), queue(ALL_ONE))[0] == "differs"


def test_one_that_takes_long_to_load_gives_as_many_answers_as_another() -> None:
    assert found(asked(scores=(0.9, 0.1), load_ms=60_000.0), queue(ALL_ONE))[0] == "differs"


def test_one_that_is_too_slow_settles_nothing_and_its_time_is_told() -> None:
    kind, why = found(asked(invoke_ms=9000.0), queue(ALL_ONE))
    assert kind == "unknown"
    assert "only 4 answers in 30 s" in why


@pytest.mark.parametrize("invoke_ms", [900.0, 9000.0])
def test_both_are_timed_however_slow_the_model_before_is(invoke_ms: float) -> None:
    told = settled(asked(always=True, invoke_ms=invoke_ms), queue(VARIED))
    assert told.before is not None
    assert told.before.median_ms == invoke_ms


def test_both_are_timed_where_that_is_asked() -> None:
    told = settled(asked(always=True, invoke_ms=3.0), queue(VARIED))
    assert told.now == ipc.TurnTimes(2.0, 8.0)
    assert told.before is not None
    assert told.before.median_ms == 3.0


def test_what_depends_on_frames_before_is_not_compared_but_timed() -> None:
    harmless = replace(asked(always=True, scores=(0.9, 0.1)), remembers=True)
    assert settled(harmless, queue(VARIED)).before is not None
    assert found(harmless, queue(VARIED)) == ("fine", "")
    assert found(harmless, queue(ALL_ONE))[0] == "unknown"


def test_no_turns_have_no_percentile() -> None:
    assert summed_up([]) is None
