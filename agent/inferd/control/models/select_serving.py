"""Which model is to serve each engine key. The rules are in `store/lifecycle/slots.py`; here they meet open files."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.config import settings
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.engine_keys import EngineKey, EngineKeys, release
from inferd.control.models.persistent_model_state import PersistentModelState
from inferd.control.processes.vet_job import Accepted
from inferd.errors import StoreError
from inferd.store.description.bundle import variant_of
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.slots import ModelSelection
from inferd.store.lifecycle.state import FACTORY, KeySlots
from inferd.system.clock import Clock

RETRY_NS = 30_000_000_000  # before what was not the model's fault is tried again


@dataclass(frozen=True, slots=True)
class ModelEnvironment:
    """Where models live and what is required of them there.

    Attributes:
        state: the store.
        drop_folder: where people drop models.
        options: what a model must show.
        circumstances: runtime and its version, accelerator, board: what a verdict holds for.
        clock: times everything.
        core_w: watts of a busy core of this board; 0 where that is not known.
    """

    state: PersistentModelState
    drop_folder: DropFolder
    options: settings.ModelsConfig
    circumstances: str
    clock: Clock
    core_w: float = 0.0


class ServingModels:
    """Selects the model of each key and records which changed. Owned by control's main thread."""

    def __init__(self, keys: EngineKeys, environment: ModelEnvironment) -> None:
        """Select among the models of `keys`."""
        self._keys = keys
        self._state = environment.state
        self._options = environment.options
        self._circumstances = environment.circumstances
        self._clock = environment.clock
        self._changed: set[str] = set()

    def slots_of(self, one: EngineKey) -> KeySlots:
        """Return what the store says of a key."""
        return self._state.state.of(one.key)

    def verdict_key(self, one: EngineKey) -> str:
        """Return the circumstances under which a verdict must have been found to hold for this key."""
        return f"{self._circumstances}, {one.way}"

    def has_previous(self, one: EngineKey) -> bool:
        """Whether the model on trial replaced another; the one that comes with inferd does not count."""
        now, versions = self.slots_of(one), self._state.state.versions
        factory = now.active in versions and FACTORY in versions[now.active].items
        return now.trial is not None and now.active not in ("", now.trial.digest) and not factory

    def choose(self, one: EngineKey) -> str:
        """Return the digest of the model that should go on trial; "" where none should."""
        if self.slots_of(one).active and any(variant_of(name) for name in one.queue.waiting):
            return ""  # all variants are measured before one of them is chosen
        return slots.choose(self._state.state, one.key, self._wish(one), self.verdict_key(one))

    def begin(self, one: EngineKey, digest: str) -> None:
        """Record the switch on the disk, then make it; retried later where the disk refuses."""
        try:
            self._state.apply_durably(slots.begin, one.key, digest, self._state.boot_id, self._state.wall_s())
        except StoreError as exc:
            one.retry_why = f"{exc}; {self._state.state.title(digest)} waits until that is fixed"
            one.wait_until_ns = self._clock.monotonic_ns() + RETRY_NS
            return
        one.retry_why = ""
        self.select(one)

    def select(self, one: EngineKey) -> None:
        """Select the model that the store says should serve, and close files that are no longer needed."""
        now = self.slots_of(one)
        one.replay_mb = self._options.replay_mb if self.has_previous(one) else 0.0
        wanted, before = one.held.get(now.serving), one.selected
        if wanted is not before:
            one.selected, one.trial.counts = wanted, None
            self._changed.add(one.key)
            if before is not None and before not in one.held.values():
                release(before)
        one.let_go(keep=now.held)

    def select_unstored(self, one: EngineKey, verdict: Accepted) -> None:
        """Select a model that is not stored."""
        if one.selected is None or one.selected.description != verdict.description:
            one.selected = verdict
            self._changed.add(one.key)

    def hold(self, one: EngineKey, verdict: Accepted) -> None:
        """Keep a model's file open; one that is held already with the same description stays."""
        digest = verdict.description.ref.digest
        before = one.held.get(digest)
        if before is not None and before.description == verdict.description:
            release(verdict)
            return
        if before is not None and before is not one.selected:
            release(before)
        one.held[digest] = verdict

    def retry_offer(self, one: EngineKey) -> None:
        """Offer the selected model again later: the worker could not load it, though it served before."""
        if one.selected is not None:
            one.offer_again_ns = self._clock.monotonic_ns() + RETRY_NS

    def offer_due(self) -> None:
        """Mark as changed the keys whose model is to be offered again now."""
        for one in self._keys:
            if 0 < one.offer_again_ns <= self._clock.monotonic_ns():
                one.offer_again_ns = 0
                self._changed.add(one.key)

    def pop_changed(self) -> set[str]:
        """Return the keys whose model has changed since the last call, to be offered to the worker."""
        changed, self._changed = self._changed, set()
        return changed

    def _wish(self, one: EngineKey) -> ModelSelection:
        return one.wish(item for version in self._state.state.versions.values() for item in version.items)
