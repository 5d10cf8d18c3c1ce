"""An event that a thread can wait for together with descriptors."""

from __future__ import annotations

import contextlib
import os
import select

from inferd.system.threads import Lock


class Wakeup:
    """An eventfd: any thread sets it; its owner waits for it, alone or with sockets in a selector."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = Lock()  # keeps `set` from writing to another file that got the number after `close`

    def fileno(self) -> int:
        """Return the descriptor, readable while it is set; -1 after `close`."""
        return self._fd

    def set(self) -> None:
        """Wake the owner; does nothing after `close`."""
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Clear it. Owner only."""
        with contextlib.suppress(BlockingIOError):  # it was not set
            os.eventfd_read(self._fd)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, and clear it; False on time-out. Owner only."""
        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        if not readable.poll(timeout_s * 1000):
            return False
        self.clear()
        return True

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
