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

STALLED_FACTOR = 15  # times settle_s, in which a copy that has stalled may go on before it is refused
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
        except FileNotFoundError as exc:
            return self._warn(f"the drop folder cannot be looked at: {exc.strerror}")
        except OSError as exc:
            return self._refuse(
                f"is the drop folder, but cannot be looked at: {exc.strerror}; check its mode and the disk"
            )
        except TooManyEntries:
            return self._refuse(
                f"is the drop folder, but has more than {ENTRIES_MAX:,} entries, so no model in it is looked at"
            )
        self._warned = ""
        self.seen = True
        return self._settler.look(listing, now_ns)

    def again(self, item: Item) -> None:
        """List an item as new once more, a little later."""
        self._settler.again(item.name, self._clock.monotonic_ns())

    def still_unfinished(self, item: Item) -> bool:
        """Whether a file that ends too early may be a copy that has stalled; then it is listed again once it has waited long."""
        wait_ns = int(STALLED_FACTOR * self._options.settle_s * 1e9)
        return self._settler.again_when_still(item.name, self._clock.monotonic_ns(), wait_ns)

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

    def _refuse(self, why: str) -> FolderChanges:
        """Report once, as an event, that nothing in the folder is looked at."""
        reported, self._warned = self._warned == why, why
        return FolderChanges() if reported else FolderChanges(refused={str(self.folder): why})

    def _warn(self, why: str) -> FolderChanges:
        if why != self._warned:
            log.warning("%s: %s", self.folder, why)
        self._warned = why
        return FolderChanges()
