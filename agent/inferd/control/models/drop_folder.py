"""The drop folder as control sees it: looks when it is time, and keeps apart what is new, gone and refused."""

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
        """Watch `folder`, which need not be there yet; it is made where that is possible, once."""
        self.folder = folder
        self._options = options
        self._clock = clock
        self._settler = SettleWatch(options.settle_s)
        self._looked_ns = 0
        self._complaint = ""
        self.seen = False
        with contextlib.suppress(OSError):  # the first look says what is wrong
            make_shared_folder(folder, GROUP)

    def changes(self) -> FolderChanges:
        """Look if it is time, and return what changed.

        A folder that is away takes nothing back: what it held is neither gone nor new when it comes again.
        """
        now_ns = self._clock.monotonic_ns()
        if not self._options.look_every_s or now_ns - self._looked_ns < self._options.look_every_s * 1e9:
            return FolderChanges()
        self._looked_ns = now_ns
        try:
            listing = look(self.folder)
        except OSError as exc:
            return self._complain(f"the drop folder cannot be looked at: {exc.strerror}")
        except TooManyEntries as exc:
            return self._complain(f"{exc} in the drop folder holds more than {ENTRIES_MAX:,} entries; move some away")
        self._complaint = ""
        self.seen = True
        return self._settler.look(listing, now_ns)

    def again(self, item: Item) -> None:
        """Hand an item out once more, a little later."""
        self._settler.again(item.name, self._clock.monotonic_ns())

    def all_again(self) -> None:
        """Hand all items out once more, a little later."""
        for name in self._settler.names():
            self._settler.again(name, self._clock.monotonic_ns())

    def names(self) -> frozenset[str]:
        """Return the items there are, settled or not."""
        return self._settler.names()

    def listed(self, item: Item) -> tuple[ipc.Listed, ...]:
        """Return the item's files as they were listed, for a vet child to compare."""
        return tuple(ipc.Listed(str(self.folder / path), one.size, one.mtime_ns, one.inode) for path, one in item.files)

    def _complain(self, why: str) -> FolderChanges:
        if why != self._complaint:
            log.warning("%s: %s", self.folder, why)
        self._complaint = why
        return FolderChanges()
