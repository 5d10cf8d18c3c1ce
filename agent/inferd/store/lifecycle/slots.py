"""The rules of a model's life: a state and an event in, the next state out. No clock, no disk, no processes.

    arrived ─▶ judged ─▶ begun (on trial) ─▶ committed
                 │             └─▶ failed: the active one goes on, this one is quarantined
                 └─▶ refused

What is to serve is never an instruction of its own: it is `KeySlots.serving`, so that a restart after a power cut does the same
as the agent that wrote the state. A model goes backwards only in `fail`, `unseat` and a person's `roll_back`
(`operator_commands.py`), and each says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce

import msgspec

from inferd.store.description.bundle import VERSION
from inferd.store.lifecycle.state import (
    FACTORY,
    KeySlots,
    LifecycleState,
    LogKind,
    Measurements,
    Quarantined,
    Trial,
    Version,
    VetVerdict,
)
from inferd.store.lifecycle.variants import are_variants, better, variant_summary

BOX_DEATHS = 2  # a model that took the device down so often is not tried again
AGENT_DEATHS = 10  # inferd alone may be killed by anybody, so this many are needed to suspect the model
WORKER_DEATHS = 2  # deaths that another program may have caused (SIGKILL)
QUARANTINED_MAX = 500

replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """What an engine key follows.

    Attributes:
        items: the drop folder's items, or the one path, that may serve it; None for whatever is newest.
        task: what a newest model must be for; None for anything.
        period_ms: time from frame to frame; 0 where only the camera knows it.
    """

    items: frozenset[str] | None
    task: str | None = None
    period_ms: float = 0.0

    def fits(self, version: Version) -> bool:
        """Whether a model is among those it may take: present, and of the name or task that is followed."""
        if self.items is not None:
            return not self.items.isdisjoint(version.items)
        return bool(version.items) and (self.task is None or version.task == self.task)


def newer(one: Version, other: Version) -> bool:
    """Whether `one` comes after `other`: by version where both have one and the same name, else by arrival."""
    if one.name == other.name and VERSION.fullmatch(one.version) and VERSION.fullmatch(other.version):
        first, second = _order(one.version), _order(other.version)
        if first != second:
            return first > second
    return one.arrived > other.arrived


def arrive(state: LifecycleState, version: Version, item: str, at: float) -> LifecycleState:
    """Record that `item` holds these bytes now; its previous content is retired.

    Bytes that come again count as new: a person who copies an old model over a newer one wants the old one back.
    """
    before = state.versions.get(version.digest)
    if before is not None and item in before.items:
        return state
    state = retire(state, item, at)
    items = (*before.items, item) if before else (item,)
    state = replace(state, arrivals=state.arrivals + 1)
    state = state.with_version(replace(version, arrived=state.arrivals, items=items))
    for key, slots in state.slots.items():
        passed = tuple(one for one in slots.passed_over if one != version.digest)
        state = state.with_slots(key, replace(slots, passed_over=passed))
    return state.noted("model.arrived", version.digest, at, f"from {item}")


def retire(state: LifecycleState, item: str, at: float) -> LifecycleState:
    """Record that the bytes of an item are gone. What serves goes on serving."""
    for digest, version in state.versions.items():
        if item in version.items:
            left = tuple(one for one in version.items if one != item)
            state = state.with_version(replace(version, items=left))
            state = state.noted("model.retired", digest, at, f"{item} is gone or holds something else")
    return state


def judge(state: LifecycleState, key: str, digest: str, verdict: VetVerdict, title: str = "") -> LifecycleState:
    """Record a verdict on the model of that digest; `title` is its name for people."""
    slots = state.of(key)
    known = {one: said for one, said in slots.verdicts.items() if one in state.versions or one == digest}
    state = state.with_slots(key, replace(slots, verdicts={**known, digest: verdict}))
    kind: LogKind = "model.accepted" if verdict.accepted else "model.refused"
    return state.noted(kind, digest, verdict.at, verdict.why, key, title)


def may_serve(state: LifecycleState, key: str, digest: str, verdict_key: str) -> bool:
    """Whether a model was accepted under the present circumstances and did no harm since."""
    verdict = state.of(key).verdicts.get(digest)
    return verdict is not None and verdict.accepted and verdict.key == verdict_key and digest not in state.quarantine


def choose(state: LifecycleState, key: str, wish: ModelSelection, verdict_key: str) -> str:
    """Return the model that should go on trial now; "" for none.

    The factory's is the last resort: it never takes the place of a model that serves, not even of one whose file is gone.
    """
    slots = state.of(key)
    if slots.trial is not None:
        return ""

    def ready(digest: str) -> bool:
        return digest in state.versions and may_serve(state, key, digest, verdict_key)

    if slots.pin:
        return slots.pin if slots.pin != slots.active and ready(slots.pin) else ""
    if slots.asked and slots.asked != slots.active and ready(slots.asked):
        return slots.asked
    active = state.versions.get(slots.active)
    fitting = [
        one
        for one in sorted(state.versions.values(), key=lambda version: version.arrived)
        if wish.fits(one)
        and ready(one.digest)
        and one.digest not in slots.passed_over
        and not (active and one.items == (FACTORY,))
    ]
    if not fitting:
        return ""
    newest = reduce(lambda before, one: one if newer(one, before) else before, fitting)
    best = _best_variant(slots, [newest, *(one for one in fitting if are_variants(one, newest))], wish.period_ms)
    if active is not None and are_variants(best, active):
        stays = not better(_figures(slots, best.digest), _figures(slots, active.digest), wish.period_ms)
    else:
        stays = active is not None and wish.fits(active) and not newer(newest, active)
    return "" if stays or best.digest == slots.active else best.digest


def begin(state: LifecycleState, key: str, digest: str, boot_id: str, at: float) -> LifecycleState:
    """Record the switch to a model; saved before it is made."""
    why = _why_now(state, key, digest)
    slots = replace(state.of(key), trial=Trial(digest, boot_id), asked="")
    return state.with_slots(key, slots).noted("model.trial", digest, at, why, key)


def commit(state: LifecycleState, key: str, at: float, why: str = "") -> LifecycleState:
    """Commit the model on trial: it becomes the active one."""
    slots = state.of(key)
    if slots.trial is None:
        return state
    digest = slots.trial.digest
    previous = slots.previous if slots.active in ("", digest) else slots.active
    slots = replace(slots, active=digest, previous="" if previous == digest else previous, trial=None)
    return state.with_slots(key, slots).noted("model.committed", digest, at, why, key)


def fail(state: LifecycleState, key: str, code: str, why: str, at: float) -> LifecycleState:
    """End a trial that failed: quarantine the model and go back.

    If there is nothing to go back to, a model that did not take the device down stays: it is better than none.
    """
    slots = state.of(key)
    if slots.trial is None:
        return state
    digest = slots.trial.digest
    if not slots.active and code != "box_down":
        return commit(state, key, at, f"{why}; it is the only model there is").noted("model.kept", digest, at, why, key)
    if slots.active == digest:  # it was proved once, and was only tried again
        return state.with_slots(key, replace(slots, trial=None)).noted("model.kept", digest, at, why, key)
    state = quarantine(state.with_slots(key, replace(slots, trial=None)), digest, Quarantined(code, why, key, at))
    return state.noted("model.rolled_back", slots.active or digest, at, why, key)


def doubt(state: LifecycleState, key: str, why: str, at: float) -> LifecycleState:
    """Note what a person should look at in the model that serves, though it is not certain enough to go back."""
    return state.noted("model.doubtful", state.of(key).serving, at, why, key)


def doubt_new(state: LifecycleState, key: str, digest: str, why: str, at: float) -> LifecycleState:
    """Note what a person should look at in a model that was accepted, before it is on trial."""
    return state.noted("model.doubtful", digest, at, why, key)


def strike(state: LifecycleState, key: str, why: str, at: float) -> LifecycleState:
    """Record that the worker died during a trial, perhaps by another program; the second death fails it."""
    slots = state.of(key)
    if slots.trial is None:
        return state
    trial = replace(slots.trial, worker_deaths=slots.trial.worker_deaths + 1)
    state = state.with_slots(key, replace(slots, trial=trial))
    return fail(state, key, "crash", why, at) if trial.worker_deaths >= WORKER_DEATHS else state


def give_up(state: LifecycleState, key: str, code: str, why: str, at: float) -> LifecycleState:
    """Quarantine the active model, which did harm again and again, and go back; nothing where there is no other to go back to."""
    slots = state.of(key)
    back_to = slots.previous
    if (
        slots.trial is not None
        or not slots.active
        or not back_to
        or back_to in state.quarantine
        or slots.pin == slots.active
    ):
        return state
    state = quarantine(state, slots.active, Quarantined(code, why, key, at))
    state = state.with_slots(key, replace(slots, active=back_to, previous=""))
    return state.noted("model.rolled_back", back_to, at, why, key)


def unseat(state: LifecycleState, key: str, why: str, at: float) -> LifecycleState:
    """Replace the active model by the previous one: it cannot serve any more (damaged file, a new runtime refuses it)."""
    slots = state.of(key)
    lost, back_to = slots.active, "" if slots.previous in state.quarantine else slots.previous
    if not lost:
        return state
    state = state.with_slots(key, replace(slots, active=back_to, previous=""))
    return state.noted("model.rolled_back", back_to or lost, at, why, key)


def wake(state: LifecycleState, boot_id: str, at: float) -> LifecycleState:
    """Count, at a start, the deaths that an interrupted trial has cost, and end one that costs too many."""
    for key, slots in state.slots.items():
        if slots.trial is None:
            continue
        went_down = slots.trial.boot_id != boot_id
        trial = replace(
            slots.trial,
            boot_id=boot_id,
            box_deaths=slots.trial.box_deaths + went_down,
            agent_deaths=slots.trial.agent_deaths + (not went_down),
        )
        state = state.with_slots(key, replace(slots, trial=trial))
        if trial.box_deaths >= BOX_DEATHS:
            state = fail(
                state, key, "box_down", f"the device went down {trial.box_deaths} times while it was on trial", at
            )
        elif trial.agent_deaths >= AGENT_DEATHS:
            state = fail(state, key, "agent_down", f"inferd ended {trial.agent_deaths} times while it was on trial", at)
    return _wake_vetting(state, boot_id)


def see(state: LifecycleState, key: str, item: str, mark: str) -> LifecycleState:
    """Record that the files of an item were judged; `mark` names them and the circumstances."""
    kept = {one: seen for one, seen in state.seen.items() if one != f"{key} | {item}"}
    return replace(state, seen={**dict(list(kept.items())[-(QUARANTINED_MAX - 1) :]), f"{key} | {item}": mark})


def unsee(state: LifecycleState) -> LifecycleState:
    """Forget what was judged, so that all of the drop folder is judged again."""
    return replace(state, seen={}, vet_deaths={})


def start_vetting(state: LifecycleState, item: str, boot_id: str) -> LifecycleState:
    """Record that the bytes of an item's fingerprint are about to be vetted; saved before the vet child starts."""
    return replace(state, vetting=item, vetting_boot=boot_id)


def end_vetting(state: LifecycleState) -> LifecycleState:
    """Record that the vet child has ended."""
    return replace(state, vetting="", vetting_boot="")


def quarantine(state: LifecycleState, digest: str, why: Quarantined) -> LifecycleState:
    """Never try a model again by itself; the oldest entries go where there are too many."""
    kept = list(state.quarantine.items())[-(QUARANTINED_MAX - 1) :]
    state = replace(state, quarantine={**dict(kept), digest: why})
    return state.noted("model.quarantined", digest, why.at, why.why, why.key)


def _wake_vetting(state: LifecycleState, boot_id: str) -> LifecycleState:
    if state.vetting and state.vetting_boot != boot_id:
        deaths = {**state.vet_deaths, state.vetting: state.vet_deaths.get(state.vetting, 0) + 1}
        state = replace(state, vet_deaths=dict(list(deaths.items())[-QUARANTINED_MAX:]))
    return end_vetting(state)


def _why_now(state: LifecycleState, key: str, digest: str) -> str:
    """Return why a model goes on trial that is not simply newer than the active one; "" where it is."""
    slots = state.of(key)
    if slots.asked == digest:
        return "asked for by a person"
    if slots.pin == digest:
        return "pinned"
    active, chosen = state.versions.get(slots.active), state.versions.get(digest)
    if chosen is not None and (others := _other_variants(state, slots, chosen)):
        return f"of its variants {variant_summary(chosen.variant, _figures(slots, digest))} suits this device best; {others}"
    if active is None or chosen is None or newer(chosen, active):
        return ""
    return f"{active.title} is newer, but no longer what is followed"


def _best_variant(slots: KeySlots, variants: list[Version], period_ms: float) -> Version:
    """Return the variant that suits this device best, by what was measured."""

    def best_of(one: Version, other: Version) -> Version:
        return other if better(_figures(slots, other.digest), _figures(slots, one.digest), period_ms) else one

    return reduce(best_of, variants)


def _other_variants(state: LifecycleState, slots: KeySlots, chosen: Version) -> str:
    """Return the other variants that were accepted, with what was measured of each; "" for none."""
    others = [one for one in state.versions.values() if are_variants(one, chosen) and one.items]
    accepted = [one for one in others if (verdict := slots.verdicts.get(one.digest)) and verdict.accepted]
    return ", ".join(variant_summary(one.variant, _figures(slots, one.digest)) for one in accepted)


def _figures(slots: KeySlots, digest: str) -> Measurements:
    verdict = slots.verdicts.get(digest)
    return verdict.figures if verdict is not None else Measurements()


def _order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return what versions sort by: numbers as numbers, and `2.0.1-rc1` before `2.0.1`, which is before `2.0.1.1`."""
    parts = re.findall(r"\d+|[a-z]+", version.lower().removeprefix("v"))
    return (*((2, int(part[:18]), "") if part.isdecimal() else (0, 0, part) for part in parts), (1, 0, ""))
