from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import StoreError
from inferd.store.lifecycle import operator_commands, slots
from inferd.store.lifecycle.slots import ModelSelection
from inferd.store.lifecycle.state import FACTORY, LifecycleState, Quarantined, Version, VetVerdict

KEY, RUN = "cam", "litert 2.3 cpu"
ANY = ModelSelection(None)
FINE = VetVerdict(RUN, accepted=True)
BAD = VetVerdict(RUN, accepted=False, code="golden_mismatch", why="is wrong")


def version(digest: str, number: str = "", name: str = "cat") -> Version:
    return Version(digest, name, number, "classify", size_bytes=100)


def dropped(
    state: LifecycleState, digest: str, number: str = "", item: str = "cat", verdict: VetVerdict = FINE
) -> LifecycleState:
    """Let a model come and be vetted."""
    return slots.judge(slots.arrive(state, version(digest, number), item, 0.0), KEY, digest, verdict)


def tried(state: LifecycleState, digest: str) -> LifecycleState:
    """Let a model go on trial."""
    assert slots.choose(state, KEY, ANY, RUN) == digest
    return slots.begin(state, KEY, digest, "boot", 0.0)


def serving(*digests: str) -> LifecycleState:
    """Return a state in which these models came, one after the other, and each proved itself."""
    state = LifecycleState()
    for digest in digests:
        state = slots.commit(tried(dropped(state, digest), digest), KEY, 0.0)
    return state


def test_a_model_on_trial_serves_and_the_active_one_is_kept() -> None:
    state = tried(dropped(serving("a"), "b"), "b").of(KEY)
    assert (state.serving, state.active) == ("b", "a")


def test_a_trial_that_passes_makes_the_old_one_the_previous() -> None:
    state = serving("a", "b").of(KEY)
    assert (state.active, state.previous) == ("b", "a")


def test_a_trial_that_fails_goes_back_and_quarantines() -> None:
    state = slots.fail(tried(dropped(serving("a"), "b"), "b"), KEY, "crash", "it crashed", 0.0)
    assert state.of(KEY).serving == "a"
    assert state.quarantine["b"].code == "crash"


def test_a_quarantined_model_is_not_chosen_again() -> None:
    state = slots.fail(tried(dropped(serving("a"), "b"), "b"), KEY, "crash", "it crashed", 0.0)
    assert slots.choose(dropped(state, "b", item="cat-again"), KEY, ANY, RUN) == ""


def test_a_person_releases_a_model_from_quarantine() -> None:
    state = slots.fail(tried(dropped(serving("a"), "b"), "b"), KEY, "crash", "it crashed", 0.0)
    assert slots.choose(operator_commands.release(state, "b", 0.0), KEY, ANY, RUN) == "b"


def test_the_only_model_goes_on_even_where_it_fails() -> None:
    state = slots.fail(tried(dropped(LifecycleState(), "a"), "a"), KEY, "crash", "it crashed", 0.0)
    assert state.of(KEY).active == "a"
    assert state.log[-1].kind == "model.kept"


def test_a_model_that_took_the_device_down_twice_is_not_tried_again() -> None:
    state = tried(dropped(serving("a"), "b"), "b")
    once = slots.wake(state, "second boot", 0.0)
    assert once.of(KEY).serving == "b"
    twice = slots.wake(once, "third boot", 0.0)
    assert twice.of(KEY).serving == "a"
    assert twice.quarantine["b"].code == "box_down"


def test_an_only_model_that_took_the_device_down_twice_does_not_serve() -> None:
    state = tried(dropped(LifecycleState(), "a"), "a")
    for boot in ("second", "third"):
        state = slots.wake(state, boot, 0.0)
    assert state.of(KEY).serving == ""
    assert "went down 2 times" in state.quarantine["a"].why


def test_the_agent_alone_may_be_killed_often_before_the_model_is_blamed() -> None:
    state = tried(dropped(serving("a"), "b"), "b")
    for _ in range(slots.AGENT_DEATHS - 1):
        state = slots.wake(state, "boot", 0.0)
    assert state.of(KEY).serving == "b"
    assert slots.wake(state, "boot", 0.0).of(KEY).serving == "a"


def test_one_death_of_the_worker_that_need_not_be_the_models_doing_is_forgiven() -> None:
    state = slots.strike(tried(dropped(serving("a"), "b"), "b"), KEY, "was killed by SIGKILL", 0.0)
    assert state.of(KEY).serving == "b"
    assert slots.strike(state, KEY, "was killed by SIGKILL", 0.0).of(KEY).serving == "a"


def test_a_refused_model_is_not_chosen() -> None:
    assert slots.choose(dropped(serving("a"), "b", verdict=BAD), KEY, ANY, RUN) == ""


def test_a_verdict_holds_only_for_its_runtime() -> None:
    assert slots.choose(dropped(serving("a"), "b"), KEY, ANY, "litert 2.4 cpu") == ""


def test_versions_order_models_of_one_name() -> None:
    state = slots.commit(tried(dropped(LifecycleState(), "a", "1.10", "new"), "a"), KEY, 0.0)
    assert slots.choose(dropped(state, "b", "1.9", "old"), KEY, ANY, RUN) == ""


def test_without_versions_the_last_to_come_is_the_newest() -> None:
    assert slots.choose(dropped(serving("a"), "b", item="other"), KEY, ANY, RUN) == "b"


def test_an_older_version_serves_once_the_newer_ones_file_holds_it() -> None:
    state = slots.commit(tried(dropped(LifecycleState(), "a", "2.0"), "a"), KEY, 0.0)
    state = dropped(state, "b", "1.0")
    assert slots.choose(state, KEY, ANY, RUN) == "b"
    assert "no longer" in slots.begin(state, KEY, "b", "", 0.0).log[-1].why


def test_a_model_whose_file_is_removed_goes_on_serving() -> None:
    state = slots.retire(serving("a"), "cat", 0.0)
    assert state.of(KEY).serving == "a"


def test_the_factorys_model_never_takes_the_place_of_one_whose_file_is_removed() -> None:
    state = slots.commit(tried(dropped(LifecycleState(), "factory", item=FACTORY), "factory"), KEY, 0.0)
    state = slots.commit(tried(dropped(state, "a"), "a"), KEY, 0.0)
    assert slots.choose(slots.retire(state, "cat", 0.0), KEY, ANY, RUN) == ""


def test_bytes_that_come_again_count_as_new() -> None:
    state = serving("a", "b")
    assert slots.choose(slots.arrive(state, version("a"), "cat", 0.0), KEY, ANY, RUN) == "a"


def test_a_model_waits_for_the_end_of_another_ones_trial() -> None:
    assert slots.choose(dropped(tried(dropped(serving("a"), "b"), "b"), "c"), KEY, ANY, RUN) == ""


def test_a_pinned_model_is_the_only_one_that_may_serve() -> None:
    state = operator_commands.pin(serving("a"), KEY, "a", 0.0)
    assert slots.choose(dropped(state, "b"), KEY, ANY, RUN) == ""
    assert slots.choose(operator_commands.unpin(dropped(state, "b"), KEY, 0.0), KEY, ANY, RUN) == "b"


def test_a_pin_brings_back_an_older_model() -> None:
    assert slots.choose(operator_commands.pin(serving("a", "b"), KEY, "a", 0.0), KEY, ANY, RUN) == "a"


def test_a_person_rolls_back_and_the_newer_model_stays_away() -> None:
    state = operator_commands.roll_back(serving("a", "b"), KEY, 0.0)
    assert state.of(KEY).serving == "a"
    assert slots.choose(state, KEY, ANY, RUN) == ""


def test_a_model_that_was_turned_away_comes_back_where_it_is_dropped_again() -> None:
    state = slots.retire(operator_commands.roll_back(serving("a", "b"), KEY, 0.0), "cat", 0.0)
    assert slots.choose(slots.arrive(state, version("b"), "cat", 0.0), KEY, ANY, RUN) == "b"


def test_there_must_be_something_to_roll_back_to() -> None:
    with pytest.raises(StoreError, match="no earlier model"):
        operator_commands.roll_back(serving("a"), KEY, 0.0)


def test_a_person_activates_an_older_model_and_the_newer_one_does_not_come_back() -> None:
    state = operator_commands.activate(serving("a", "b"), KEY, "a", RUN)
    state = slots.commit(tried(state, "a"), KEY, 0.0)
    assert slots.choose(state, KEY, ANY, RUN) == ""


def test_a_quarantined_model_cannot_be_activated() -> None:
    state = slots.fail(tried(dropped(serving("a"), "b"), "b"), KEY, "crash", "it crashed", 0.0)
    with pytest.raises(StoreError, match="release"):
        operator_commands.activate(state, KEY, "b", RUN)


def test_a_model_that_serves_cannot_be_forgotten() -> None:
    with pytest.raises(StoreError, match="serves"):
        operator_commands.forget(serving("a", "b"), "a", 0.0)


def test_the_store_keeps_no_more_than_it_may_and_never_less_than_it_must() -> None:
    state = operator_commands.bound(serving("a", "b", "c", "d"), 1, 0, 0.0)
    assert set(state.versions) == {"c", "d"}


def test_a_model_follows_by_name_or_by_task() -> None:
    came = slots.arrive(LifecycleState(), version("a"), "cat", 0.0).versions["a"]
    assert ModelSelection(frozenset({"cat"})).fits(came)
    assert not ModelSelection(frozenset({"dog"})).fits(came)
    assert ModelSelection(None, "classify").fits(came)
    assert not ModelSelection(None, "detect").fits(came)


def test_a_device_that_goes_down_while_an_item_is_vetted_is_counted() -> None:
    state = slots.wake(slots.start_vetting(LifecycleState(), "cat 100 5", "boot"), "second boot", 0.0)
    assert state.vet_deaths == {"cat 100 5": 1}
    assert slots.wake(slots.start_vetting(LifecycleState(), "cat 100 5", "boot"), "boot", 0.0).vet_deaths == {}


def test_where_the_active_model_cannot_serve_the_previous_one_does() -> None:
    state = slots.unseat(serving("a", "b"), KEY, "its file is damaged", 0.0)
    assert (state.of(KEY).active, state.of(KEY).previous) == ("a", "")


def test_where_the_active_model_cannot_serve_a_quarantined_one_does_not() -> None:
    state = serving("a", "b")
    in_quarantine = msgspec.structs.replace(
        state, quarantine={**state.quarantine, "a": Quarantined("crash", "it crashed", KEY)}
    )
    assert slots.unseat(in_quarantine, KEY, "its file is damaged", 0.0).of(KEY).active == ""


EVENTS = [
    *["drop"] * 3,
    *["take"] * 3,
    *["commit"] * 2,
    *("refuse", "fail", "strike", "wake", "reboot", "retire", "unseat"),
    *("pin", "unpin", "back", "forget", "release", "activate", "bound"),
]
events = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.sampled_from("abcdef"), st.sampled_from(["", "1.0", "2.0"])), max_size=40
)


def step(state: LifecycleState, event: str, digest: str, number: str, boot: int) -> LifecycleState:  # noqa: PLR0911 - a table
    match event:
        case "drop" | "refuse":
            return dropped(state, digest, number, f"item {digest}", FINE if event == "drop" else BAD)
        case "take":
            chosen = slots.choose(state, KEY, ANY, RUN)
            return slots.begin(state, KEY, chosen, f"boot {boot}", 0.0) if chosen else state
        case "commit":
            return slots.commit(state, KEY, 0.0)
        case "fail":
            return slots.fail(state, KEY, "crash", "it crashed", 0.0)
        case "strike":
            return slots.strike(state, KEY, "was killed", 0.0)
        case "wake" | "reboot":
            return slots.wake(state, f"boot {boot}", 0.0)
        case "retire":
            return slots.retire(state, f"item {digest}", 0.0)
        case "unseat":
            return slots.unseat(state, KEY, "its file is damaged", 0.0)
        case _:
            return asked(state, event, digest)


def asked(state: LifecycleState, event: str, digest: str) -> LifecycleState:  # noqa: PLR0911 - a table
    """Do what a person asks; a refusal leaves everything as it is."""
    try:
        match event:
            case "pin":
                return operator_commands.pin(state, KEY, digest, 0.0)
            case "unpin":
                return operator_commands.unpin(state, KEY, 0.0)
            case "back":
                return operator_commands.roll_back(state, KEY, 0.0)
            case "forget":
                return operator_commands.forget(state, digest, 0.0)
            case "release":
                return operator_commands.release(state, digest, 0.0)
            case "activate":
                return operator_commands.activate(state, KEY, digest, RUN)
            case _:
                return operator_commands.bound(state, 3, 300, 0.0)
    except StoreError:
        return state


@given(events)
def test_there_is_always_a_valid_model_or_a_reason_why_not(happened: list[tuple[str, str, str]]) -> None:
    state, boot, ever = LifecycleState(), 0, set[str]()
    for event, digest, number in happened:
        boot += event == "reboot"
        before, state = state, step(state, event, digest, number, boot)
        now, old = state.of(KEY), before.of(KEY)
        ever |= {one for one, verdict in now.verdicts.items() if verdict.accepted}
        assert now.serving == "" or (now.serving in state.versions and now.serving in ever)
        assert now.serving == "" or now.trial is None or now.serving not in state.quarantine
        if now.serving == "" and old.serving:
            assert any(line.why for line in state.log[len(before.log) :])


@given(events)
def test_no_model_goes_backwards_without_a_reason(happened: list[tuple[str, str, str]]) -> None:
    state, boot = LifecycleState(), 0
    for event, digest, number in happened:
        boot += event == "reboot"
        before, state = state, step(state, event, digest, number, boot)
        now, old = state.of(KEY).serving, before.of(KEY).serving
        if now and old and now != old and not slots.newer(state.versions[now], before.versions[old]):
            assert state.log[-1].why


@given(events)
def test_a_model_that_serves_is_never_thrown_away(happened: list[tuple[str, str, str]]) -> None:
    state = LifecycleState()
    for event, digest, number in happened:
        state = step(state, event, digest, number, 0)
        assert state.of(KEY).held - state.versions.keys() <= {state.of(KEY).asked}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2.0.1-rc1", "2.0.1"),
        ("2.0.1-rc9", "2.0.1-rc10"),
        ("2.0.1-alpha", "2.0.1-beta"),
        ("2.0", "2.0.1"),
        ("2026-11-30", "2026-12-01"),
        ("v9", "v10"),
    ],
)
def test_versions_are_ordered_as_people_mean_them(older: str, newer: str) -> None:
    first, second = Version("1" * 64, "owl", newer, arrived=1), Version("2" * 64, "owl", older, arrived=2)
    assert slots.newer(first, second)
    assert not slots.newer(second, first)
