"""Slow readings (a program, an I2C bus), taken on a thread of their own so that no caller waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from inferd.records import Unavailable
from inferd.system.clock import Clock
from inferd.system.threads import Event, join_all, start

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

STALE_AFTER = 3  # intervals without an answer, after which the last one is discarded
CLOSE_S = 0.2  # a hung bus must not delay the end


class Reader(Protocol[T_co]):
    """Returns the newest reading of a meter."""

    def latest(self) -> T_co | Unavailable | None:
        """Return the newest reading; None if there is none yet."""

    def close(self) -> None:
        """Stop reading. Idempotent."""


class ReaderFactory(Protocol):
    """Makes a reader: `BackgroundReader`, or `DirectReader` where the caller may wait."""

    def __call__(self, name: str, read: Callable[[], T | Unavailable], every_s: float, clock: Clock) -> Reader[T]:
        """Return a reader named `name` that calls `read`."""


class BackgroundReader(Generic[T]):
    """Reads periodically on a thread of its own. Any thread may get the latest."""

    def __init__(self, name: str, read: Callable[[], T | Unavailable], every_s: float, clock: Clock) -> None:
        """Start reading.

        Args:
            name: of the thread.
            read: takes its time; never raises.
            every_s: pause between two readings.
            clock: tells how old a reading is.
        """
        self._name = name
        self._read = read
        self._every_s = every_s
        self._clock = clock
        self._newest: tuple[int, T | Unavailable] | None = None
        self._stop = Event()
        self._thread = start(name, self._run)

    def latest(self) -> T | Unavailable | None:
        """Return the newest reading; None if there is none yet, Unavailable if it is too old."""
        if self._newest is None:
            return None
        taken_ns, reading = self._newest
        age_s = (self._clock.monotonic_ns() - taken_ns) / 1e9
        if age_s > STALE_AFTER * self._every_s:
            return Unavailable(f"{self._name} has not answered for {age_s:.0f} s")
        return reading

    def close(self) -> None:
        """Stop reading; a hung thread is abandoned. Idempotent."""
        self._stop.set()
        join_all([self._thread], CLOSE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            reading = self._read()
            self._newest = (self._clock.monotonic_ns(), reading)
            self._stop.wait(self._every_s)


class DirectReader(Generic[T]):
    """Reads on each call: a shipped fake of `BackgroundReader`."""

    def __init__(self, name: str, read: Callable[[], T | Unavailable], every_s: float, clock: Clock) -> None:  # noqa: ARG002 - as Background
        """Take the arguments of `BackgroundReader`."""
        self._read = read

    def latest(self) -> T | Unavailable | None:
        """Read now."""
        return self._read()

    def close(self) -> None:
        """Nothing to stop."""
