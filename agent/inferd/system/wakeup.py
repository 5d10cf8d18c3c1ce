"""Wakes one thread that waits on descriptors."""

from __future__ import annotations

import contextlib
import os
import select

from inferd.system.threads import Lock


class Wakeup:
    """An eventfd: any thread sets it, its owner waits for it, alone or beside sockets in a selector."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = Lock()  # keeps `set` from writing into whatever has the number after `close`

    def fileno(self) -> int:
        """Return the descriptor, readable while it is set; -1 after `close`."""
        return self._fd

    def set(self) -> None:
        """Wake the owner; nothing happens after `close`."""
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Take back what was set. Owner only."""
        with contextlib.suppress(BlockingIOError):  # nobody set it
            os.eventfd_read(self._fd)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, and clear it; False where `timeout_s` passed first. Owner only."""
        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        if not readable.poll(timeout_s * 1000):
            return False
        self.clear()
        return True

    def close(self) -> None:
        """Let go of the descriptor. Twice is fine."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
