"""Killed in every state of a model's life that can be reached, once and for ever: a valid model serves afterwards.

All states of two models are enumerated from the rules. Whatever is under way when somebody is killed, the disk holds one
of them (`test_state_file.py` shows that a save is all or nothing), and the next start goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from inferd.store.lifecycle import slots
from inferd.store.lifecycle.slots import AGENT_DEATHS, BOX_DEATHS, ModelSelection
from inferd.store.lifecycle.state import LifecycleState, Version, VetVerdict
from inferd.store.storage.state_file import StateFile

KEY, RUN, BOOT = "newest", "this runtime", "boot 0"
ANY = ModelSelection(None)
MODELS = ("a", "b")
Step = Callable[[LifecycleState], LifecycleState]


def steps() -> Iterator[Step]:
    """Yield everything that may happen to one of the models."""
    for digest in MODELS:
        version = Version(digest, "cat", "", "classify", size_bytes=100)
        yield partial(slots.arrive, version=version, item="cat", at=0.0)
        for accepted in (True, False):
            verdict = VetVerdict(RUN, accepted, "" if accepted else "golden_mismatch", "" if accepted else "wrong")
            yield partial(judged, digest=digest, verdict=verdict)
    yield lambda state: slots.retire(state, "cat", 0.0)
    yield lambda state: slots.start_vetting(state, "cat 100 5", BOOT)
    yield slots.end_vetting
    yield begun
    yield lambda state: slots.commit(state, KEY, 0.0)
    yield lambda state: slots.fail(state, KEY, "nonfinite_output", "NaN", 0.0)
    yield lambda state: slots.strike(state, KEY, "was killed", 0.0)
    yield lambda state: slots.unseat(state, KEY, "its file is damaged", 0.0)


def judged(state: LifecycleState, digest: str, verdict: VetVerdict) -> LifecycleState:
    """Take a verdict on a model that is there and has none."""
    known = digest in state.versions and digest not in state.of(KEY).verdicts
    return slots.judge(state, KEY, digest, verdict) if known else state


def begun(state: LifecycleState, boot: str = BOOT) -> LifecycleState:
    """Begin the trial that is due."""
    chosen = slots.choose(state, KEY, ANY, RUN)
    return slots.begin(state, KEY, chosen, boot, 0.0) if chosen else state


def essence(state: LifecycleState) -> bytes:
    """Return a state without what no rule looks at: the log, and how often models came."""
    order = sorted(state.versions.values(), key=lambda version: version.arrived)
    ranked = {one.digest: msgspec.structs.replace(one, arrived=rank) for rank, one in enumerate(order)}
    return msgspec.json.encode(msgspec.structs.replace(state, log=(), arrivals=0, versions=ranked))


@pytest.fixture(scope="module")
def reachable() -> list[LifecycleState]:
    """Return every state that some order of events leads to."""
    found, ahead = {essence(LifecycleState()): LifecycleState()}, [LifecycleState()]
    while ahead:
        state = ahead.pop()
        for step in steps():
            after = step(state)
            if essence(after) not in found:
                found[essence(after)] = after
                ahead.append(after)
    return list(found.values())


def may_serve(state: LifecycleState, digest: str) -> bool:
    """Whether a model is there, was accepted, and did no harm on trial."""
    verdict = state.of(KEY).verdicts.get(digest)
    return digest in state.versions and verdict is not None and verdict.accepted


def is_due(state: LifecycleState) -> bool:
    return state.of(KEY).trial is None and bool(slots.choose(state, KEY, ANY, RUN))


def to_the_end(state: LifecycleState) -> LifecycleState:
    """Let what is under way come to a good end."""
    state = slots.commit(state, KEY, 0.0)
    while is_due(state):
        state = slots.commit(begun(state), KEY, 0.0)
    return state


def test_there_are_many_states(reachable: list[LifecycleState]) -> None:
    assert len(reachable) >= 900
    assert {state.of(KEY).trial is None for state in reachable} == {True, False}


@pytest.mark.parametrize("boot", [BOOT, "boot 1"], ids=["the agent", "the device"])
def test_killed_once_in_any_state_what_served_serves_or_there_is_a_reason(
    reachable: list[LifecycleState], boot: str
) -> None:
    for state in reachable:
        before, woken = state.of(KEY).serving, slots.wake(state, boot, 0.0)
        now = woken.of(KEY).serving
        assert now == before or woken.log[-1].why
        assert not now or may_serve(woken, now)
        assert not now or now not in woken.quarantine or woken.of(KEY).trial is None


@pytest.mark.parametrize("boot", [BOOT, "boot 1"], ids=["the agent", "the device"])
def test_killed_once_in_any_state_the_update_still_comes_to_its_end(reachable: list[LifecycleState], boot: str) -> None:
    for state in reachable:
        undisturbed, woken = to_the_end(state), to_the_end(slots.wake(state, boot, 0.0))
        same = woken.of(KEY).serving == undisturbed.of(KEY).serving
        assert same or woken.quarantine.keys() > undisturbed.quarantine.keys()


@pytest.mark.parametrize(("boots", "deaths"), [(1, AGENT_DEATHS), (1000, BOX_DEATHS)], ids=["the agent", "the device"])
def test_killed_for_ever_in_any_state_the_trials_end(reachable: list[LifecycleState], boots: int, deaths: int) -> None:
    for state in reachable:
        had, now = state.of(KEY).active, state
        for turn in range((deaths + 1) * len(MODELS)):
            now = slots.wake(begun(now, f"boot {turn % boots}"), f"boot {(turn + 1) % boots}", 0.0)
        assert now.of(KEY).trial is None
        assert not is_due(now)
        assert not had or now.of(KEY).serving
        assert not had or may_serve(now, now.of(KEY).serving)


def test_what_kills_the_device_while_it_is_vetted_is_counted_in_any_state(reachable: list[LifecycleState]) -> None:
    for state in reachable:
        vetting = slots.start_vetting(state, "dog 1 1", "boot 7")
        assert slots.wake(vetting, "boot 8", 0.0).vet_deaths["dog 1 1"] == 1


def test_every_state_is_read_as_it_was_written(reachable: list[LifecycleState], tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    for state in reachable[:: max(1, len(reachable) // 200)]:
        file.save(state)
        assert file.load().state == state
