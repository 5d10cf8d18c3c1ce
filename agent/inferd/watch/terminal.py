"""The keys of a terminal, one by one and without waiting."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Self

from inferd.watch.keys import split_keys

LONGEST_BYTES = 4096


class Keys:
    """Takes keys as they are pressed while it is open, unseen on the screen. Owned by the main thread."""

    def __init__(self) -> None:
        """Take over standard input, which is a terminal."""
        self._fd = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSANOW)

    def wait(self, timeout_s: float) -> list[str]:
        """Return what was pressed, as soon as something was; nothing where `timeout_s` passed first."""
        readable, _, _ = select.select([self._fd], [], [], timeout_s)
        return split_keys(os.read(self._fd, LONGEST_BYTES).decode(errors="ignore")) if readable else []

    def close(self) -> None:
        """Give the terminal back as it was. Idempotent."""
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
