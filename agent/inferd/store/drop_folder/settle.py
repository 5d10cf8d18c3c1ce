"""When a model in the drop folder is whole: it has not changed for a while, or got its name by a rename. Pure rules.

Nothing tells a finished copy from one that stalls. What is taken too early ends before its content does: it never serves, and is
refused only once it has not changed for much longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferd.store.drop_folder.items import FolderEntry, Item, ListedItems, Listing, find_items, passing


@dataclass(frozen=True, slots=True)
class FolderChanges:
    """What a look at the drop folder brought.

    Attributes:
        settled: items that are whole and new, or other than they were.
        gone: names of items that were there and are not.
        refused: path → why, for what is refused by its name or kind since this look.
    """

    settled: tuple[Item, ...] = ()
    gone: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class SettlingItem:
    """An item that is being watched: how it looks, when its wait began, when it changed, and whether it was handed out."""

    item: Item
    fingerprint: str
    since_ns: int
    changed_ns: int
    handed_out: bool = False


class SettleWatch:
    """Watches the drop folder's listings, one after the other. Owned by control's main thread."""

    def __init__(self, still_s: float) -> None:
        """Hand out items that have not changed for `still_s`."""
        self._still_ns = int(still_s * 1e9)
        self._watched: dict[str, SettlingItem] = {}
        self._listing: Listing = {}
        self._refused: dict[str, str] = {}
        self._passing: dict[int, tuple[int, int]] = {}

    def look(self, listing: Listing, now_ns: int) -> FolderChanges:
        """Take the next listing."""
        if listing == self._listing and all(one.handed_out for one in self._watched.values()):
            return FolderChanges()
        self._listing = listing
        found = find_items({path: entry for path, entry in listing.items() if not _is_passing(path)})
        gone = tuple(name for name in self._watched if name not in found.items)
        for name in gone:
            del self._watched[name]
        settled = tuple(item for item in found.items.values() if self._settles(item, now_ns))
        refused = self._newly_refused(found)
        self._passing = {
            entry.inode: (entry.size, entry.mtime_ns) for path, entry in listing.items() if _is_passing(path)
        }
        return FolderChanges(settled, gone, refused)

    def again(self, name: str, now_ns: int) -> None:
        """Hand an item out once more, after another `still_s` (the disk was full, it changed while it was read)."""
        if name in self._watched:
            self._watched[name].since_ns = now_ns
            self._watched[name].handed_out = False

    def again_when_still(self, name: str, now_ns: int, wait_ns: int) -> bool:
        """Hand an item out once more when it has not changed for `wait_ns`; return False where that is so already."""
        watched = self._watched.get(name)
        if watched is None or now_ns - watched.changed_ns >= wait_ns:
            return False
        watched.since_ns = watched.changed_ns + wait_ns - self._still_ns
        watched.handed_out = False
        return True

    def names(self) -> frozenset[str]:
        """Return the names of all items there are."""
        return frozenset(self._watched)

    def waiting(self) -> list[str]:
        """Return the names of items that still change."""
        return [name for name, one in self._watched.items() if not one.handed_out]

    def _settles(self, item: Item, now_ns: int) -> bool:
        watched, fingerprint = self._watched.get(item.name), item.fingerprint
        if watched is None or watched.fingerprint != fingerprint:
            renamed = all(self._was_passing(entry) for path, entry in item.files if self._is_new(watched, path, entry))
            since_ns = now_ns - self._still_ns if renamed else now_ns
            watched = self._watched[item.name] = SettlingItem(item, fingerprint, since_ns, now_ns)
        if watched.handed_out or now_ns - watched.since_ns < self._still_ns:
            return False
        watched.handed_out = True
        return True

    def _was_passing(self, entry: FolderEntry) -> bool:
        """Whether this very file was there at the last look, whole, under a temporary name."""
        return self._passing.get(entry.inode) == (entry.size, entry.mtime_ns)

    def _is_new(self, watched: SettlingItem | None, path: str, entry: FolderEntry) -> bool:
        return watched is None or dict(watched.item.files).get(path) != entry

    def _newly_refused(self, found: ListedItems) -> dict[str, str]:
        new = {path: why for path, why in found.refused.items() if self._refused.get(path) != why}
        self._refused = found.refused
        return new


def _is_passing(path: str) -> bool:
    return any(passing(part) for part in path.split("/"))
