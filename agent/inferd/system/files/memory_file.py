"""Bytes that cross to another process by a descriptor."""

from __future__ import annotations

import os

from inferd.errors import WorkerError


def memory_file(name: str, content: bytes) -> int:
    """Return the descriptor of a new file in memory that holds `content`, at its beginning; the caller closes it."""
    with os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC), "w+b") as file:
        file.write(content)
        file.flush()
        fd = os.dup(file.fileno())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_memory_file(fd: int, most_bytes: int) -> bytes:
    """Return what a descriptor holds, and close it.

    Raises:
        WorkerError: it holds more than `most_bytes`.
    """
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size
        if size > most_bytes:
            raise WorkerError("snapshot", f"has {size:,} bytes, more than the {most_bytes:,} that are accepted")
        file.seek(0)
        return file.read()
