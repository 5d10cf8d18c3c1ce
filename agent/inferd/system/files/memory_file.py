"""Anonymous files in memory that another process receives by their descriptor."""

from __future__ import annotations

import fcntl
import os

from inferd.errors import WorkerError

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def memory_file(name: str, content: bytes) -> int:
    """Return the descriptor of a new file in memory that holds `content`, at its beginning; the caller closes it.

    It is sealed: of several processes that get it, none can change what the others read.
    """
    with os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w+b") as file:
        file.write(content)
        file.flush()
        fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, SEALS)
        fd = os.dup(file.fileno())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_memory_file(fd: int, most_bytes: int) -> bytes:
    """Return the content of a descriptor and close it.

    Raises:
        WorkerError: it holds more than `most_bytes`.
    """
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size
        if size > most_bytes:
            raise WorkerError("snapshot", f"has {size:,} bytes, more than the {most_bytes:,} that are accepted")
        file.seek(0)
        return file.read()
