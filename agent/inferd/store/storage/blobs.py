"""Model files under their SHA-256. A stored file is never overwritten, so that a runtime may map it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from inferd.errors import StoreError
from inferd.store.formats.bounded_file import ModelFile
from inferd.system.files.atomic import (
    DISK,
    Disk,
    StagedFile,
    clear_away,
    copy_hashed,
    make_folder,
    put,
    remove_unfinished,
)

DIGEST = re.compile(r"[0-9a-f]{64}")
REMEDIES = {
    errno.ENOSPC: "the disk is full; make room, or move state_dir to a larger one",
    errno.EDQUOT: "the disk quota is used up; make room, or move state_dir",
    errno.EROFS: "the disk is mounted read-only; remount it writable, or move state_dir",
    errno.EACCES: "this user may not write there; `chown` the folder to the user that runs inferd",
    errno.EPERM: "this user may not write there; `chown` the folder to the user that runs inferd",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away, or choose another state_dir",
    errno.EEXIST: "a file stands where a folder is needed; move it away, or choose another state_dir",
    errno.EIO: "the disk fails; replace it",
}


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file: its SHA-256 in hexadecimal, where it lies, and its length."""

    digest: str
    path: Path
    size_bytes: int


class Blobs:
    """A folder of files named by their SHA-256. Any number of processes may add and open."""

    def __init__(self, root: Path, disk: Disk = DISK) -> None:
        """Use `root`, and make it where it is missing.

        Raises:
            StoreError: it cannot be made.
        """
        self._root = root
        self._disk = disk
        try:
            make_folder(root, disk)
        except OSError as exc:
            raise store_error(root, exc) from exc

    def add(self, source: Path, *, no_links: bool = False) -> Blob:
        """Store a copy of `source`; a copy that is there and intact is left alone, a damaged one is replaced.

        The source is read before anything is written: adding what is there costs no wear and no room on an SD card.

        Raises:
            ModelError: `source` is missing, no regular file, too large, or changes while it is read.
            StoreError: the disk refuses.
        """
        with ModelFile(source, no_links=no_links) as file:
            path = self.path(file.sha256())
            try:
                if _is_intact(path):
                    return Blob(path.name, path, file.size)
                with file.stream() as stream:
                    return self._store(file, stream)
            except OSError as exc:
                raise store_error(self._root, exc) from exc

    def path(self, digest: str) -> Path:
        """Return where the blob of that digest lies, or would lie.

        Raises:
            StoreError: it is no digest.
        """
        if not DIGEST.fullmatch(digest):
            raise StoreError("store", f"{digest[:80]!r} is no SHA-256; it takes 64 hexadecimal digits")
        return self._root / digest

    def open_readonly(self, digest: str) -> int:
        """Return a read-only descriptor of a blob; the caller closes it.

        Raises:
            StoreError: there is none, or it cannot be opened.
        """
        path = self.path(digest)
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as exc:
            raise StoreError("store", f"has no blob {digest[:12]}; add the model again") from exc
        except OSError as exc:
            raise store_error(path, exc) from exc

    def sweep(self) -> int:
        """Remove copies that a killed process left unfinished, and return how many. Only while no other process adds.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            return remove_unfinished(self._root, self._disk)
        except OSError as exc:
            raise store_error(self._root, exc) from exc

    def remove_unlinked(self) -> int:
        """Remove blobs that no bundle links to, and return how many. Only while no other process adds.

        Raises:
            OSError: the disk refuses.
        """
        loose = [path for path in self._root.iterdir() if DIGEST.fullmatch(path.name) and path.stat().st_nlink == 1]
        for path in loose:
            self._disk.unlink(path)
        return len(loose)

    def _store(self, file: ModelFile, stream: BinaryIO) -> Blob:
        stream.seek(0)
        copied = copy_hashed(stream, self._root, self._disk)
        try:
            file.require_unchanged()
            return self._put(copied)
        finally:
            clear_away(copied.path, self._disk)

    def _put(self, copied: StagedFile) -> Blob:
        path = self.path(copied.sha256)
        put(copied.path, path, self._disk)
        return Blob(copied.sha256, path, copied.size_bytes)


def store_error(path: Path, exc: OSError) -> StoreError:
    """Return the sentence for what the disk refused."""
    remedy = REMEDIES.get(exc.errno or 0, "see that the disk is there and writable")
    return StoreError(str(path), f"cannot be used: {exc.strerror or exc}; {remedy}")


def _is_intact(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == path.name
    except FileNotFoundError:
        return False
