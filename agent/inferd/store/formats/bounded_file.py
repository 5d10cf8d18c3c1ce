"""A model's file, read by pieces. Never mapped: overwriting a mapped file kills the process that reads it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from inferd.errors import ModelError

MODEL_MAX_BYTES = 1 << 30  # what a 32-bit board can still map; larger files are not for this class of devices
BLOCK_BYTES = 1 << 16
BLOCKS_KEPT = 32  # 2 MiB: a model's tables lie close together, its weights are never visited


class ByteSource(Protocol):
    """Bytes that can be read at any offset."""

    @property
    def size(self) -> int:
        """How many there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; the caller has checked that they exist."""


@dataclass(frozen=True, slots=True)
class BytesInMemory:
    """Bytes already in memory."""

    content: bytes

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""
        return self.content[offset : offset + length]


class ModelFile:
    """A regular file opened for reading. Its opener closes it; one thread."""

    def __init__(self, path: Path, max_bytes: int = MODEL_MAX_BYTES, *, no_links: bool = False) -> None:
        """Open `path`; with `no_links`, refuse a symbolic link.

        Raises:
            ModelError: it is not there, not readable, not a regular file, or larger than `max_bytes`.
        """
        self.name = path.name
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._fd = open_regular(path, no_links=no_links)
        self._opened = os.fstat(self._fd)
        self.size = self._opened.st_size
        if self.size > max_bytes:
            self.close()
            raise ModelError(self.name, f"has {self.size:,} bytes, more than the {max_bytes:,} that inferd opens")

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`.

        Raises:
            ModelError: the file was cut short after it was opened, or cannot be read.
        """
        first, last = offset // BLOCK_BYTES, (offset + length - 1) // BLOCK_BYTES
        joined = b"".join(self._block(index) for index in range(first, last + 1))
        begin = offset - first * BLOCK_BYTES
        found = joined[begin : begin + length]
        if len(found) != length:
            raise self._changed()
        return found

    def sha256(self) -> str:
        """Return the SHA-256 of the whole file, in hexadecimal.

        Raises:
            ModelError: the file changed since it was opened, or cannot be read.
        """
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        self.require_unchanged()
        return digest.hexdigest()

    def require_unchanged(self) -> None:
        """Make sure that all reads saw the same file.

        Raises:
            ModelError: its size or modification time is no longer what it was when it was opened.
        """
        now = os.fstat(self._fd)
        if (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns):
            raise self._changed()

    def stream(self) -> BinaryIO:
        """Return a file object over the same file; the caller closes it."""
        return os.fdopen(os.dup(self._fd), "rb")

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pieces(self) -> Iterator[bytes]:
        offset = 0
        while piece := self._pread(1 << 20, offset):
            offset += len(piece)
            yield piece

    def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        block = self._blocks[index] = self._pread(BLOCK_BYTES, index * BLOCK_BYTES)
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    def _pread(self, length: int, offset: int) -> bytes:
        try:
            return os.pread(self._fd, length, offset)
        except OSError as exc:
            raise ModelError(self.name, f"cannot be read: {exc.strerror}; copy it again, or check the disk") from exc

    def _changed(self) -> ModelError:
        return ModelError(self.name, "changed while it was being read; wait until the copy has ended and try again")


def open_regular(path: Path, *, no_links: bool = False) -> int:
    """Return a read-only descriptor of a regular file; never waits on a pipe or a device.

    Raises:
        ModelError: it is not there, not readable, something else than a file, or with `no_links` a symbolic link.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if no_links else 0))
    except (OSError, ValueError) as exc:
        raise ModelError(path.name or str(path), _why_not_opened(exc)) from exc
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise ModelError(path.name, "is not a regular file; give a file, or a folder that holds one")


def read_small(path: Path, max_bytes: int, *, no_links: bool = False) -> bytes:
    """Return the content of a file that a person wrote.

    Raises:
        ModelError: it cannot be opened, or has more than `max_bytes`.
    """
    with ModelFile(path, max_bytes, no_links=no_links) as file:
        content = file.read(0, file.size) if file.size else b""
        file.require_unchanged()
        return content


def _why_not_opened(exc: OSError | ValueError) -> str:
    if isinstance(exc, ValueError):
        return "is not a file name"
    reasons = {
        errno.ENOENT: "is not there; check the name and the folder",
        errno.ENOTDIR: "is not there; check the name and the folder",
        errno.ELOOP: "is a symbolic link, which is not followed; copy the file itself",
        errno.EACCES: "may not be read by this user; `chmod a+r` it",
    }
    return reasons.get(exc.errno or 0, f"cannot be opened: {exc.strerror}")
