"""Polls the drop folder, and separates what is new, gone and refused."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from inferd import ipc
from inferd.config import settings
from inferd.store.drop_folder.items import Item
from inferd.store.drop_folder.scan import ENTRIES_MAX, TooManyEntries, look
from inferd.store.drop_folder.settle import FolderChanges, SettleWatch
from inferd.system.clock import Clock
from inferd.system.files.atomic import make_shared_folder

log = logging.getLogger(__name__)

GROUP = "inferd"  # its members may drop models


class DropFolder:
    """Owned by control's main thread."""

    def __init__(self, folder: Path, options: settings.ModelsConfig, clock: Clock) -> None:
        """Watch `folder`, which need not be there yet; it is created where that is possible, once."""
        self.folder = folder
        self._options = options
        self._clock = clock
        self._settler = SettleWatch(options.settle_s)
        self._polled_ns = 0
        self._warned = ""
        self.seen = False
        with contextlib.suppress(OSError):  # the first poll reports what is wrong
            make_shared_folder(folder, GROUP)

    def changes(self) -> FolderChanges:
        """Poll the folder if that is due, and return what changed.

        While the folder is missing, its items are neither gone, nor new when it returns.
        """
        now_ns = self._clock.monotonic_ns()
        if not self._options.look_every_s or now_ns - self._polled_ns < self._options.look_every_s * 1e9:
            return FolderChanges()
        self._polled_ns = now_ns
        try:
            listing = look(self.folder)
        except OSError as exc:
            return self._warn(f"the drop folder cannot be looked at: {exc.strerror}")
        except TooManyEntries as exc:
            return self._warn(f"{exc} in the drop folder holds more than {ENTRIES_MAX:,} entries; move some away")
        self._warned = ""
        self.seen = True
        return self._settler.look(listing, now_ns)

    def again(self, item: Item) -> None:
        """List an item as new once more, a little later."""
        self._settler.again(item.name, self._clock.monotonic_ns())

    def all_again(self) -> None:
        """List all items as new once more, a little later."""
        for name in self._settler.names():
            self._settler.again(name, self._clock.monotonic_ns())

    def names(self) -> frozenset[str]:
        """Return the items there are, settled or not."""
        return self._settler.names()

    def listed(self, item: Item) -> tuple[ipc.Listed, ...]:
        """Return the item's files as they were listed, for a vet child to compare."""
        return tuple(ipc.Listed(str(self.folder / path), one.size, one.mtime_ns, one.inode) for path, one in item.files)

    def _warn(self, why: str) -> FolderChanges:
        if why != self._warned:
            log.warning("%s: %s", self.folder, why)
        self._warned = why
        return FolderChanges()
