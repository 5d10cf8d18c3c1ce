"""Signals that a selector can wait for."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType, TracebackType
from typing import Self


class Signals:
    """Collects signals inside a `with` block; used by the main thread only."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._received: dict[signal.Signals, None] = {}  # each once: a storm is one signal
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal arrives."""
        return self._ours.fileno()

    def take(self) -> list[signal.Signals]:
        """Return the signals since the last call, in order, each once."""
        with contextlib.suppress(BlockingIOError):
            while self._ours.recv(4096):
                pass
        received, self._received = self._received, {}
        return list(received)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in self._numbers}
        self._wakeup_before = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._ours.close()
        self._theirs.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._received[signal.Signals(number)] = None
