"""The rules of what a person may ask of the store. Pure, as `slots.py`."""

from __future__ import annotations

import msgspec

from inferd.errors import StoreError
from inferd.store.lifecycle.slots import may_serve
from inferd.store.lifecycle.state import LifecycleState

PASSED_OVER_MAX = 50

replace = msgspec.structs.replace


def activate(state: LifecycleState, key: str, digest: str, verdict_key: str) -> LifecycleState:
    """Use this model from now on, whatever its version, because a person asked for it.

    Raises:
        StoreError: it may not serve, or a trial or a pin is in the way.
    """
    title = state.title(digest)
    slots = state.of(key)
    if digest in state.quarantine:
        raise StoreError(title, f"is in quarantine: {state.quarantine[digest].why}; `inferd models release` it first")
    if not may_serve(state, key, digest, verdict_key):
        raise StoreError(title, f"was not accepted for {key}; drop it again and see `inferd models status`")
    if slots.pin not in ("", digest):
        raise StoreError(
            title, f"cannot serve while {state.title(slots.pin)} is pinned; `inferd models unpin {key}` first"
        )
    passed = tuple(one for one in state.versions if one != digest)[-PASSED_OVER_MAX:]  # or the newest would come back
    return state.with_slots(key, replace(slots, asked=digest, passed_over=passed))


def roll_back(state: LifecycleState, key: str, at: float) -> LifecycleState:
    """Go back to the previous model, because a person asked for it.

    Raises:
        StoreError: there is none, or it did harm.
    """
    slots = state.of(key)
    if slots.trial is not None and slots.active:
        turned_away, back_to, previous = slots.trial.digest, slots.active, slots.previous
    else:
        turned_away, back_to, previous = slots.active, slots.previous, slots.active
    if not back_to or back_to in state.quarantine:
        raise StoreError(key, "has no earlier model to go back to; `inferd models status` shows what there is")
    passed = (*(one for one in slots.passed_over if one not in (turned_away, back_to)), turned_away)[-PASSED_OVER_MAX:]
    slots = replace(slots, active=back_to, previous=previous, trial=None, asked="", passed_over=passed)
    return state.with_slots(key, slots).noted("model.rolled_back", back_to, at, "asked for by a person", key)


def pin(state: LifecycleState, key: str, digest: str, at: float) -> LifecycleState:
    """Let only this model serve.

    Raises:
        StoreError: the store does not have it, or it is in quarantine.
    """
    if digest not in state.versions or digest in state.quarantine:
        raise StoreError(state.title(digest), "cannot be pinned: it is not in the store, or in quarantine")
    return state.with_slots(key, replace(state.of(key), pin=digest)).noted("model.pinned", digest, at, "", key)


def unpin(state: LifecycleState, key: str, at: float) -> LifecycleState:
    """Take back a pin."""
    pinned = state.of(key).pin
    if not pinned:
        return state
    return state.with_slots(key, replace(state.of(key), pin="")).noted("model.unpinned", pinned, at, "", key)


def release(state: LifecycleState, digest: str, at: float) -> LifecycleState:
    """Take a model out of quarantine and forget its verdicts, so that it is tried again.

    Raises:
        StoreError: nothing is held against it.
    """
    refused = any(digest in slots.verdicts for slots in state.slots.values())
    if digest not in state.quarantine and not refused:
        raise StoreError(state.title(digest), "is not in quarantine")
    state = replace(state, quarantine={one: why for one, why in state.quarantine.items() if one != digest})
    for key, slots in state.slots.items():
        verdicts = {one: said for one, said in slots.verdicts.items() if one != digest or said.accepted}
        state = state.with_slots(key, replace(slots, verdicts=verdicts))
    return state.noted("model.released", digest, at, "")


def forget(state: LifecycleState, digest: str, at: float) -> LifecycleState:
    """Throw a model away.

    Raises:
        StoreError: it serves, is kept to go back to, or there is no such.
    """
    if digest not in state.versions:
        raise StoreError(digest[:12], "is not in the store; `inferd models status` shows what is")
    if digest in state.held():
        raise StoreError(state.title(digest), "serves, or is kept to go back to; activate another one first")
    state = state.noted("model.forgotten", digest, at, "")
    return replace(state, versions={one: version for one, version in state.versions.items() if one != digest})


def bound(state: LifecycleState, most: int, most_bytes: int, at: float) -> LifecycleState:
    """Throw away the oldest models until no more than so many, and so many bytes, are kept; never one that is held."""
    held = state.held()
    order = sorted(state.versions.values(), key=lambda one: (bool(one.items), one.arrived))
    for one in order:
        total = sum(version.size_bytes for version in state.versions.values())
        if len(state.versions) <= most and total <= most_bytes:
            break
        if one.digest not in held:
            state = forget(state, one.digest, at)
    return state
