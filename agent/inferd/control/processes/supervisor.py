"""Supervises one worker: starts it, checks its heartbeats, finds what to blame for a death or a hang.

The rules (`StallClock`, `RestartBackoff`) are values in, verdict out; `Supervisor` reads the world and calls them.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inferd import ipc
from inferd.system.clock import Clock
from inferd.system.processes.channel import Channel, ChannelClosed, channel_pair
from inferd.system.processes.fork_server import Child, ForkServer
from inferd.system.processes.heartbeats import Busy, Heartbeats, Reading
from inferd.system.processes.latest_sender import LatestSender, Subject
from inferd.system.processes.process import Exit, Limits

log = logging.getLogger(__name__)

WORKER_LIMITS = Limits(oom_score_adj=400)  # killed before control, after a vet child
LONGEST_NAP_NS = 1_000_000_000  # a longer gap between two looks means that control itself was not running
REAP_S = 2.0
HEALTHY_NS = 60_000_000_000  # a worker that lived so long starts again without a pause
LONGEST_JITTER = 1.25
OWN_SLOT = 0
LOOP = "its loop"  # begins what is said of an engine that hangs
Cause = Literal["died", "hung", "grown", "starved"]


class StallClock:
    """How long each slot has not turned, in time that control itself was awake to see.

    A suspended or swapping board stops control as well as the worker; such time does not count.
    """

    def __init__(self) -> None:
        self._awake_ns = 0
        self._looked_ns = 0
        self._seen: dict[int, tuple[int, int]] = {}

    def look(self, readings: Mapping[int, Reading], now_ns: int) -> dict[int, int]:
        """Return for each slot how long, in nanoseconds, it has shown the same turn."""
        if self._looked_ns:
            self._awake_ns += min(now_ns - self._looked_ns, LONGEST_NAP_NS)
        self._looked_ns = now_ns
        for slot, reading in readings.items():
            if self._seen.get(slot, (-1, 0))[0] != reading.turned_ns:
                self._seen[slot] = (reading.turned_ns, self._awake_ns)
        return {slot: self._awake_ns - self._seen[slot][1] for slot in readings}


class RestartBackoff:
    """How long to wait before a worker that died is started again: not at all, then twice as long each time."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._next_s = 0.0

    def after(self, lived_ns: int) -> float:
        """Return the pause in seconds after a worker that lived for `lived_ns`; jittered, so that a fleet spreads."""
        if lived_ns > HEALTHY_NS:
            self._next_s = 0.0
        pause_s = self._next_s
        self._next_s = min(self._longest_s, max(0.5, pause_s * 2))
        return pause_s * random.uniform(2 - LONGEST_JITTER, LONGEST_JITTER)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class Death:
    """A worker's end: which engines were at work, in words how it ended, and whether the kernel let it go.

    `replaying`: it ran the model before meanwhile, which may have done it as well; then no model is blamed.
    `cause` is "hung" where it was killed because it made no progress, "grown" because it took too much memory, "starved"
    where the kernel killed it for want of memory; else it died.
    """

    blamed: tuple[str, ...]
    how: str
    reaped: bool
    cause: Cause = "died"
    replaying: bool = False

    @property
    def hung(self) -> bool:
        """Whether it was killed because it made no progress."""
        return self.cause == "hung"


class Supervisor:
    """One worker at a time. Owned by control's main thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._child: Child | None = None
        self._channel: Channel[ipc.FromWorker, ipc.ToWorker] | None = None
        self._sender: LatestSender[ipc.ToWorker] | None = None
        self._progress: Heartbeats | None = None
        self._patience = StallClock()
        self._slots: dict[str, int] = {}
        self.started_ns = 0

    @property
    def running(self) -> bool:
        """Whether there is a worker."""
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """The worker's process number."""
        return self._child.pid if self._child else None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the worker sends something, for a selector."""
        assert self._channel is not None  # noqa: S101 - asked only while running
        return self._channel.fileno()

    def start(self, fork_server: ForkServer) -> int:
        """Fork a worker and return its process number.

        Raises:
            WorkerError: the fork server is gone.
        """
        ours, theirs = channel_pair()
        progress = Heartbeats.create()
        try:
            self._child = fork_server.fork(
                "inferd.worker.process:main", "inferd-worker", [theirs.fileno(), progress.fd], WORKER_LIMITS
            )
        finally:
            theirs.close()
        self._channel = Channel(ours, ipc.FromWorker)  # type: ignore[arg-type]  # a union is no class
        self._sender = LatestSender(self._channel)
        self._progress = progress
        self._patience = StallClock()
        self.started_ns = self._clock.monotonic_ns()
        return self._child.pid

    def plan(self, assignments: Sequence[ipc.Assignment]) -> None:
        """Send the worker its plan: the pipelines to run."""
        self._slots = {assignment.engine_key: assignment.slot for assignment in assignments}
        self._send(("plan",), ipc.Plan(tuple(assignments)))

    def offer(self, offer: ipc.Offer, blob_fds: Sequence[int]) -> None:
        """Offer the worker a model."""
        self._send(("offer", offer.engine_key), offer, blob_fds)

    def replay(self, question: ipc.ShadowReplay, blob_fds: Sequence[int]) -> None:
        """Have the worker show the model before what the one on trial was shown."""
        self._send(("replay", question.engine_key), question, blob_fds)

    def show(self, show: ipc.ShowFrame, connection_fd: int) -> None:
        """Have the worker send a frame over a connection."""
        if self._channel is not None:
            self._channel.offer(show, [connection_fd])  # a request for a frame may be dropped; its caller sees that

    def ask_to_stop(self) -> None:
        """Ask the worker to end."""
        self._send(("stop",), ipc.Stop())

    def receive(self) -> ipc.FromWorker | None:
        """Return the worker's next message; None where there is none, or the worker is gone.

        Raises:
            WorkerError: the message cannot be read.
        """
        if self._channel is None:
            return None
        try:
            received = self._channel.receive(0)
        except ChannelClosed:
            return None
        return received[0] if received else None

    def stalled(self, engines_ns: Mapping[str, int], load_ns: int, own_ns: int) -> str:
        """Return in words which thread has not turned within its deadline; "" where all turn.

        Args:
            engines_ns: by engine key.
            load_ns: for the worker's main thread while it loads a model.
            own_ns: for the worker's main thread otherwise.
        """
        if self._progress is None:
            return ""
        readings = {slot: self._progress.read(slot) for slot in (OWN_SLOT, *self._slots.values())}
        still_ns = self._patience.look(readings, self._clock.monotonic_ns())
        for key, slot in self._slots.items():
            if readings[slot].turned_ns and still_ns[slot] > engines_ns[key]:
                return f"{LOOP} {key} made no progress for {still_ns[slot] / 1e9:.1f} s (watch.deadline_s, or 20 times its p95)"
        allowed_ns = load_ns if readings[OWN_SLOT].busy in (Busy.LOADING, Busy.REPLAYING) else own_ns
        if still_ns[OWN_SLOT] > allowed_ns:
            return f"its main thread made no progress for {still_ns[OWN_SLOT] / 1e9:.1f} s"
        return ""

    def kill(self) -> None:
        """Kill the worker; `conclude` returns what came of it."""
        if self._child is not None:
            self._child.kill()

    def conclude(self, ended: Exit | None, why: str, cause: Cause = "died") -> Death:
        """Forget a worker that ended, or that not even SIGKILL ends (`ended` is None); return what was at work.

        Args:
            ended: how it ended.
            why: what it was killed for; "" where it died by itself.
            cause: see `Death`.
        """
        replaying = self._replays() and not why.startswith(LOOP)
        blamed = () if replaying else self.at_work()
        how = why or (ended.sentence if ended else "")
        if cause == "starved":
            how += ", by the kernel for want of memory"
        for held in (self._sender, self._channel, self._progress, self._child):
            if held is not None:
                held.close()
        self._sender = self._channel = self._progress = self._child = None
        return Death(blamed, how, reaped=ended is not None, cause=cause, replaying=replaying)

    def at_work(self) -> tuple[str, ...]:
        """Return the keys of the engines that are at work now, or were when the worker ended."""
        if self._progress is None:
            return ()
        return tuple(key for key, slot in self._slots.items() if self._progress.read(slot).busy is Busy.ENGINE)

    def _replays(self) -> bool:
        return self._progress is not None and self._progress.read(OWN_SLOT).busy is Busy.REPLAYING

    def retry(self) -> None:
        """Send what the worker had no room for."""
        if self._sender is not None:
            self._sender.retry()

    def _send(self, subject: Subject, message: ipc.ToWorker, fds: Sequence[int] = ()) -> None:
        """Send without waiting; a worker that has just died is noticed by its exit, so that is no error here."""
        if self._sender is not None:
            try:
                self._sender.send(subject, message, fds)
            except OSError as exc:
                log.warning("%s for the worker is lost (%s)", " ".join(subject), exc.strerror)
