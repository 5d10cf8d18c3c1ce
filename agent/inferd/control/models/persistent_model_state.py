"""The lifecycle state in memory and on disk, and the bundle store beside it. Decides nothing; writes in time.

A step that must be on the disk before it is carried out goes through `apply_durably`, which raises where the disk refuses.
A record of what happened goes through `apply`: a write that fails is logged once and retried, and inference goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec

from inferd.config import settings
from inferd.errors import StoreError
from inferd.store.lifecycle.operator_commands import bound
from inferd.store.lifecycle.slots import wake
from inferd.store.lifecycle.state import LifecycleState, LogLine
from inferd.store.storage.bundle_store import BundleStore
from inferd.store.storage.state_file import StateFile
from inferd.system.clock import Clock
from inferd.system.files.atomic import DISK, Disk, is_read_only

log = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Rule = Callable[Concatenate[LifecycleState, Arguments], LifecycleState]
READ_ONLY = (
    "the disk is mounted read-only: stored models go on serving, but new models are not accepted and no state is saved;"
    " remount it writable, or move state_dir (`inferd doctor` says more)"
)
RETRY_NS = 10_000_000_000  # after a disk refused


@dataclass(frozen=True, slots=True)
class DiskEvent:
    """The disk began to refuse what the store writes, or works again."""

    failed: bool
    why: str


class PersistentModelState:
    """Owned by control's main thread."""

    def __init__(
        self, state_dir: Path, options: settings.ModelsConfig, clock: Clock, boot_id: str, disk: Disk = DISK
    ) -> None:
        """Load the state, and count vet children that an interruption ended.

        Raises:
            StoreError: the state directory cannot be used, or was written by a newer inferd.
        """
        self.state_dir = state_dir
        self.boot_id = boot_id
        self.bundles = BundleStore(state_dir, disk)
        self._options = options
        self._clock = clock
        self._file = StateFile(state_dir, disk)
        if is_read_only(state_dir):
            log.warning("%s: %s", state_dir, READ_ONLY)
        loaded = self._file.load()
        if loaded.healed:
            log.warning("store: %s", loaded.healed)
        self.state = loaded.state
        self._unsaved_since_ns = 0
        self._failing: set[str] = set()
        self._disk_events: list[DiskEvent] = []
        self._pruned: frozenset[str] | None = None  # the versions there were after the last pruning
        self._last_returned: LogLine | None = self.state.log[-1] if self.state.log else None
        self.apply(wake, boot_id, clock.wall_s())

    def wall_s(self) -> float:
        """Return the wall clock, for the log."""
        return self._clock.wall_s()

    def apply_durably(self, rule: Rule[Arguments], *given: Arguments.args, **named: Arguments.kwargs) -> None:
        """Apply a rule and write the state to the disk.

        Raises:
            StoreError: the disk refuses; nothing has changed.
        """
        before = self.state
        self.state = rule(before, *given, **named)
        try:
            self._file.save(self.state)
        except StoreError as exc:
            self.state = before
            self.disk_failed("state", str(exc))
            raise
        self._saved()

    def apply(self, rule: Rule[Arguments], *given: Arguments.args, **named: Arguments.kwargs) -> None:
        """Apply a rule, and write the state to the disk now or later."""
        before = self.state
        self.state = rule(before, *given, **named)
        if self.state != before:
            self._save()

    def note_refused(self, what: str, why: str, key: str = "") -> None:
        """Log that something was refused before it could be identified."""
        self.apply(_refused, what, why, self.wall_s(), key)

    def retry_save(self) -> None:
        """Retry a write that failed."""
        if self._unsaved_since_ns and self._clock.monotonic_ns() - self._unsaved_since_ns > RETRY_NS:
            self._save()

    def prune(self) -> None:
        """Remove bundles beyond `models.keep`, and files that the state does not name. Only while no vet child runs."""
        if self._pruned == self.state.versions.keys():
            return
        self.apply(bound, self._options.keep, self._options.keep_mb << 20, self._clock.wall_s())
        self._pruned = frozenset(self.state.versions)
        try:
            self.bundles.sweep(self._pruned)
            self._file.sweep()
        except StoreError as exc:
            log.warning("%s", exc)

    def new_log_lines(self) -> list[LogLine]:
        """Return the lines of the log that were added since the last call."""
        lines = self.state.log
        known = self._last_returned
        fresh: list[LogLine] = []
        for line in reversed(lines):
            if line is known:
                break
            fresh.append(line)
        if lines:
            self._last_returned = lines[-1]
        return fresh[::-1]

    def disk_failed(self, what: str, why: str) -> None:
        """Note that the disk refuses a part of the store: its "state" or its "bundles"."""
        if not self._failing:
            self._disk_events.append(DiskEvent(failed=True, why=why))
        self._failing.add(what)

    def disk_works(self, what: str) -> None:
        """Note that the disk accepts a part of the store, again or still."""
        if self._failing == {what}:
            self._disk_events.append(DiskEvent(failed=False, why="the disk accepts models and their state again"))
        self._failing.discard(what)

    def pop_disk_events(self) -> list[DiskEvent]:
        """Return when the disk began to refuse, and when it works again, since the last call."""
        events, self._disk_events = self._disk_events, []
        return events

    def _save(self) -> None:
        try:
            self._file.save(self.state)
        except StoreError as exc:
            self.disk_failed("state", f"{exc}; until then no change of a model is saved")
            self._unsaved_since_ns = self._clock.monotonic_ns()
        else:
            self._saved()

    def _saved(self) -> None:
        self._unsaved_since_ns = 0
        self.disk_works("state")


def _refused(state: LifecycleState, what: str, why: str, at: float, key: str) -> LifecycleState:
    return state.noted("model.refused", "", at, why, key, what)
