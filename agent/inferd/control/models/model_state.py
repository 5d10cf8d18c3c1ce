"""The store as control holds it: the state in memory and on disk, the shelf beside it. Decides nothing; writes in time.

What must be on the disk before it is done goes through `intend`, which raises where the disk refuses. What only tells
what happened goes through `take`: where the disk refuses that, it is told once and tried again, and inference goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
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
    "the disk is mounted read-only: what it holds goes on serving, but no new model is taken and nothing is remembered;"
    " remount it writable, or move state_dir (`inferd doctor` says more)"
)
AGAIN_NS = 10_000_000_000  # after a disk refused


class PersistentModelState:
    """Owned by control's main thread."""

    def __init__(
        self, state_dir: Path, options: settings.ModelsConfig, clock: Clock, boot_id: str, disk: Disk = DISK
    ) -> None:
        """Read what is remembered, and count what an interruption cost.

        Raises:
            StoreError: the state directory cannot be used, or was written by a newer inferd.
        """
        self.state_dir = state_dir
        self.boot_id = boot_id
        self.shelf = BundleStore(state_dir, disk)
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
        self._last_told: LogLine | None = self.state.log[-1] if self.state.log else None
        self.take(wake, boot_id, clock.wall_s())

    def wall_s(self) -> float:
        """Return the time of day, for the log."""
        return self._clock.wall_s()

    def intend(self, rule: Rule[Arguments], *given: Arguments.args, **named: Arguments.kwargs) -> None:
        """Apply a rule; when this returns, it is on the disk.

        Raises:
            StoreError: the disk refuses; nothing has changed.
        """
        before = self.state
        self.state = rule(before, *given, **named)
        try:
            self._file.save(self.state)
        except StoreError:
            self.state = before
            raise
        self._unsaved_since_ns = 0

    def take(self, rule: Rule[Arguments], *given: Arguments.args, **named: Arguments.kwargs) -> None:
        """Apply a rule, and put it on the disk if that is possible now."""
        before = self.state
        self.state = rule(before, *given, **named)
        if self.state != before:
            self._save()

    def mind(self) -> None:
        """Try again what the disk refused."""
        if self._unsaved_since_ns and self._clock.monotonic_ns() - self._unsaved_since_ns > AGAIN_NS:
            self._save()

    def tidy(self) -> None:
        """Throw away what is more than may be kept, and what nobody knows. Only while no vet child adds."""
        self.take(bound, self._options.keep, self._options.keep_mb << 20, self._clock.wall_s())
        try:
            self.shelf.sweep(frozenset(self.state.versions))
            self._file.sweep()
        except StoreError as exc:
            log.warning("%s", exc)

    def news(self) -> list[LogLine]:
        """Return the lines of the log that were added since the last call."""
        lines = self.state.log
        known = self._last_told
        fresh: list[LogLine] = []
        for line in reversed(lines):
            if line is known:
                break
            fresh.append(line)
        if lines:
            self._last_told = lines[-1]
        return fresh[::-1]

    def _save(self) -> None:
        try:
            self._file.save(self.state)
        except StoreError as exc:
            if not self._unsaved_since_ns:
                log.error("%s; until then nothing that happens to models is remembered", exc)  # noqa: TRY400 - a sentence, no trace
            self._unsaved_since_ns = self._clock.monotonic_ns()
        else:
            self._unsaved_since_ns = 0
