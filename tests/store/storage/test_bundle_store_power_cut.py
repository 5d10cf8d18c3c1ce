"""Power cuts while a bundle is put into its place: it is there whole, or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from inferd.store.storage.bundle_store import BundleStore
from inferd.system.files.atomic import Disk

WEIGHTS, LABELS, DIGEST = b"weights " * 100, b"cat\ndog\n", "a" * 64
WHOLE = {"cat.tflite": WEIGHTS, "cat.txt": LABELS}


@dataclass(frozen=True, slots=True)
class Named:
    """A file or folder got a name in `folder`, and lost the one it had where it was renamed."""

    folder: Path
    new: Path
    old: Path | None = None


@dataclass(frozen=True, slots=True)
class Synced:
    """The names in a folder are on the disk."""

    folder: Path


@dataclass
class NamingDisk(Disk):
    """Does what it is asked and remembers names and the syncs of folders; the `forgets`-th of those is not even tried."""

    forgets: int = -1
    syncs: int = 0
    calls: list[Named | Synced] = field(default_factory=list)

    def link(self, old: Path, new: Path) -> None:
        """Link, and remember."""
        super().link(old, new)
        self.calls.append(Named(new.parent, new))

    def rename(self, old: Path, new: Path) -> None:
        """Rename, and remember."""
        super().rename(old, new)
        self.calls.append(Named(new.parent, new, old))

    def fsync(self, fd: int) -> None:
        """Sync, and remember where it is a folder."""
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path.is_dir():
            number, self.syncs = self.syncs, self.syncs + 1
            if number != self.forgets:
                self.calls.append(Synced(path))


def put(folder: Path, forgets: int = -1) -> tuple[Path, NamingDisk]:
    """Put a bundle into a store; return its place and what the disk was asked."""
    (folder / "drop").mkdir(parents=True)
    for name, content in WHOLE.items():
        (folder / "drop" / name).write_bytes(content)
    disk = NamingDisk(forgets)
    shelf = BundleStore(folder / "state", disk)
    with shelf.copy(folder / "drop" / "cat.tflite") as copied:
        shelf.put(copied, DIGEST)
    return shelf.path(DIGEST), disk


def after_a_power_cut(calls: list[Named | Synced], place: Path) -> Iterator[set[str] | None]:
    """Yield the names that a power cut right after these calls may leave in `place`; None where that is not there."""
    certain: list[Named] = []
    open_: list[Named] = []
    for call in calls:
        if isinstance(call, Named):
            open_.append(call)
        else:
            certain += [one for one in open_ if one.folder == call.folder]
            open_ = [one for one in open_ if one.folder != call.folder]
    for kept in itertools.product((False, True), repeat=len(open_)):
        names = [*certain, *itertools.compress(open_, kept)]
        moved = next((one for one in names if one.new == place), None)
        was = moved.old if moved is not None else None
        yield None if was is None else {one.new.name for one in names if one.folder == was}


def states(folder: Path, forgets: int = -1) -> list[set[str] | None]:
    place, disk = put(folder, forgets)
    return [left for cut in range(len(disk.calls) + 1) for left in after_a_power_cut(disk.calls[:cut], place)]


def test_a_bundle_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    left = states(tmp_path)
    assert set(WHOLE) in left
    assert [one for one in left if one not in (None, set(WHOLE))] == []


def test_without_the_sync_of_its_own_folder_half_a_bundle_may_be_left(tmp_path: Path) -> None:
    """The control: some sync is what keeps it whole."""
    _, disk = put(tmp_path / "counted")
    halves = [
        number
        for number in range(disk.syncs)
        if any(one not in (None, set(WHOLE)) for one in states(tmp_path / str(number), number))
    ]
    assert halves
