"""What was dropped and refused, by its name: kept as long as it lies there, so that a person can ask. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from inferd.store.lifecycle.state import LifecycleState, RefusedItem

REFUSED_MAX = 100  # items; the oldest go


def note_refused_item(state: LifecycleState, refused: RefusedItem) -> LifecycleState:
    """Record that an item was refused, in place of what was recorded of it before."""
    others = [one for one in state.refused if (one.item, one.key) != (refused.item, refused.key)]
    return replace(state, refused=(*others[-(REFUSED_MAX - 1) :], refused))


def forget_refused_item(state: LifecycleState, item: str, key: str | None = None) -> LifecycleState:
    """Forget that an item was refused, by one engine key or by all: it is gone, or holds something else."""
    left = tuple(one for one in state.refused if one.item != item or key not in (None, one.key))
    return state if len(left) == len(state.refused) else replace(state, refused=left)
