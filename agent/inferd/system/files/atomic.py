"""Files that survive a power cut: written beside their place, synced, renamed, and the folder synced after.

The only file with os.replace and fsync. Blob then pointer with file and folder synced left 0 of 388 enumerated crash
states invalid, against 14 % with files only and 34 % with neither.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PIECE_BYTES = 1 << 20
UNFINISHED = ".unfinished-"  # how files are called until they are whole
READABLE = 0o644
READ_ONLY = 0o444
SHARED = 0o2775  # members of the group may write, and what they write belongs to the group


class Disk:
    """All calls that change a disk; a test may record them, leave one out, or have one refused."""

    def create(self, folder: Path) -> tuple[int, Path]:
        """Make a new file under an unfinished name, open for writing."""
        fd, name = tempfile.mkstemp(prefix=UNFINISHED, dir=folder)
        return fd, Path(name)

    def create_folder(self, folder: Path) -> Path:
        """Make a new folder under an unfinished name."""
        return Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))

    def make(self, folder: Path) -> None:
        """Make a folder and those above it; fine where they are there."""
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, fd: int, data: bytes) -> None:
        """Write all of `data` into a new file."""
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]

    def fsync(self, fd: int) -> None:
        """Wait until a file's content, or a folder's names, are on the disk."""
        os.fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name, in place of whatever had that."""
        os.replace(old, new)  # noqa: PTH105  # this is the place for it

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name."""
        os.link(old, new)

    def open_append(self, path: Path, mode: int) -> int:
        """Open a file that only grows, and make it where it is missing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)

    def append(self, fd: int, data: bytes) -> None:
        """Write all of `data` at the end of a file."""
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]

    def unlink(self, path: Path) -> None:
        """Take a name away; fine where it is gone already."""
        path.unlink(missing_ok=True)

    def remove_tree(self, folder: Path) -> None:
        """Take a folder away with all that is in it; fine where it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)

    def truncate(self, path: Path, size_bytes: int) -> None:
        """Cut a file off."""
        os.truncate(path, size_bytes)


DISK = Disk()


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A whole, synced copy that waits under an unfinished name to be put into its place, or removed."""

    path: Path
    sha256: str
    size_bytes: int


def hold_folder(folder: Path) -> BinaryIO:
    """Take a folder for this process alone, until what is returned is closed or the process ends.

    One that was held before can be held on a disk that is read-only now.

    Raises:
        OSError: the folder cannot be written (BlockingIOError: another process holds it).
    """
    make_folder(folder)
    path = folder / ".held"
    file: BinaryIO = path.open("rb" if path.exists() and is_read_only(folder) else "wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def is_read_only(folder: Path) -> bool:
    """Whether the disk on which a folder lies is mounted read-only."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def write_atomic(
    path: Path, content: bytes, disk: Disk = DISK, before: Path | None = None, *, mode: int = READABLE
) -> None:
    """Put `content` at `path`: whoever reads sees the old file or the new one, whole, also after a power cut.

    With `before`, the old file is kept under that name, in the same folder; between the two renames there is only that.

    Raises:
        OSError: the disk refuses; `path` is what it was.
    """
    with _unfinished(path.parent, disk) as (fd, unfinished):
        disk.write(fd, content)
        _settle(fd, mode, disk)
        if before is not None and path.exists():
            disk.rename(path, before)
        put(unfinished, path, disk)


def copy_hashed(source: BinaryIO, folder: Path, disk: Disk = DISK) -> StagedFile:
    """Copy `source` from where it stands into a read-only file in `folder` and sync it.

    Raises:
        OSError: reading or writing failed; nothing is left behind.
    """
    digest, size_bytes = hashlib.sha256(), 0
    with _unfinished(folder, disk, keep=True) as (fd, unfinished):
        while piece := source.read(PIECE_BYTES):
            disk.write(fd, piece)
            digest.update(piece)
            size_bytes += len(piece)
        _settle(fd, READ_ONLY, disk)
    return StagedFile(unfinished, digest.hexdigest(), size_bytes)


def put(unfinished: Path, path: Path, disk: Disk = DISK) -> None:
    """Rename a synced file or folder into its place and sync the folder around it.

    Raises:
        OSError: the disk refuses.
    """
    disk.rename(unfinished, path)
    sync_folder(path.parent, disk)


def sync_folder(folder: Path, disk: Disk = DISK) -> None:
    """Wait until the names in `folder` are on the disk.

    Raises:
        OSError: the disk refuses.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, disk: Disk = DISK) -> None:
    """Make `folder` and those above it, and wait until their names are on the disk.

    Raises:
        OSError: the disk refuses.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    disk.make(folder)
    for one in reversed(missing):
        sync_folder(one.parent, disk)


def make_shared_folder(folder: Path, group: str) -> None:
    """Make a folder into which the members of a group may write, where it is missing and its parent is there.

    What the system does not allow of that is left out: only a member may give a folder to a group, and systemd's
    RestrictSUIDSGID lets nobody set the bit by which new files get the folder's group.

    Raises:
        OSError: it cannot be made.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        return
    with contextlib.suppress(KeyError, PermissionError):
        os.chown(folder, -1, grp.getgrnam(group).gr_gid)
    try:
        folder.chmod(SHARED)
    except PermissionError:
        folder.chmod(SHARED & 0o777)


def clear_away(path: Path, disk: Disk = DISK) -> None:
    """Take away a file or folder that nobody needs; where the disk refuses, it stays until somebody sweeps."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            disk.remove_tree(path)
        else:
            disk.unlink(path)


def remove_unfinished(folder: Path, disk: Disk = DISK) -> int:
    """Remove what writers left that were killed, and return how many files that were. Only for a folder's one writer.

    Raises:
        OSError: the disk refuses.
    """
    leftovers = list(folder.glob(f"{UNFINISHED}*"))
    for leftover in leftovers:
        disk.unlink(leftover)
    return len(leftovers)


@contextlib.contextmanager
def _unfinished(folder: Path, disk: Disk, *, keep: bool = False) -> Iterator[tuple[int, Path]]:
    """Lend a new file in `folder`; it is removed on any error, and at the end unless it is kept or renamed."""
    fd, path = disk.create(folder)
    try:
        try:
            yield fd, path
        finally:
            os.close(fd)
    except BaseException:
        clear_away(path, disk)
        raise
    if not keep:
        clear_away(path, disk)


def _settle(fd: int, mode: int, disk: Disk) -> None:
    os.fchmod(fd, mode)
    disk.fsync(fd)
