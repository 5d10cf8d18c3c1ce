"""The data process: sources, engines and loops. It never waits for a disk or a network; control hears it through a channel.

The main thread listens to control, loads offered engines, drains the counters and, in between, shows the model before what
the one on trial was shown. Each engine key has a `EngineThread`: one loop thread and a source thread for each of its pipelines.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from inferd import ipc
from inferd.errors import InferdError
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel, ChannelClosed
from inferd.system.processes.heartbeats import Busy, Heartbeats
from inferd.system.threads import start
from inferd.tasks.drawing.draw import png
from inferd.tasks.drawing.jpeg import jpeg
from inferd.worker.engine_thread import JOIN_S, EngineThread
from inferd.worker.outbound import Outbound, ToControl
from inferd.worker.pipeline_threads import WorkerContext
from inferd.worker.shadow_replay import PAUSE_S, Replaying
from inferd.worker.snapshot import SnapshotWriter, ToViewer

log = logging.getLogger(__name__)

TURN_S = 0.2  # how often the main thread shows that it turns; well below any deadline
REPORT_S = 0.5  # how often counters are drained
COUNTS = ("counts",)


class StuckThreads(Exception):
    """Threads that were told to end and did not; their names."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


class Worker:
    """The worker's main thread: does what control says until it says stop, or is gone."""

    def __init__(self, context: WorkerContext, to_control: ToControl, progress: Heartbeats) -> None:
        self._context = context
        self._to_control = to_control
        self._progress = progress
        self._own_slot = progress.slot(0)
        self._groups: dict[str, EngineThread] = {}
        self._replays: dict[str, tuple[Replaying, ExitStack]] = {}
        self._drained_ns = context.clock.monotonic_ns()

    def run(self) -> list[str]:
        """Serve control; return the names of threads that would not end."""
        clock = self._context.clock
        report_ns = clock.monotonic_ns()
        try:
            while True:
                self._own_slot.turn(clock.monotonic_ns())
                wait_s = PAUSE_S if self._replays else TURN_S
                received = self._to_control.receive(min(wait_s, max(0.0, (report_ns - clock.monotonic_ns()) / 1e9)))
                if received is not None and not self._obey(*received):
                    break
                self._turn_replay()
                if clock.monotonic_ns() >= report_ns:
                    report_ns += int(REPORT_S * 1e9)
                    self._report()
        except ChannelClosed:
            log.info("worker ends: control is gone")
        except StuckThreads as exc:
            return exc.names + self._stop_all()
        return self._stop_all()

    def _obey(self, message: ipc.ToWorker, fds: list[int]) -> bool:
        match message:
            case ipc.Plan():
                self._arrange(message)
            case ipc.Offer():
                self._take_offer(message, fds)
            case ipc.ShadowReplay():
                self._replay(message, fds)
            case ipc.ShowFrame():
                self._show(message, fds)
            case ipc.Stop():
                return False
        return True

    def _arrange(self, plan: ipc.Plan) -> None:
        """Stop what is no longer wanted, start what is new; what stays as it is goes on undisturbed.

        Raises:
            StuckThreads: one of them does not end: it holds its device and its slot, which only the worker's end frees.
        """
        wanted = {assignment.engine_key: assignment for assignment in plan.assignments}
        for key in [key for key in self._replays if key not in wanted]:
            self._end_replay(key)
        stuck = self._stop([self._groups.pop(key) for key in list(self._groups) if key not in wanted])
        for key, group in self._groups.items():
            if group.pipelines != wanted[key].pipelines:
                stuck += group.rearrange(wanted[key].pipelines)
        if stuck:
            raise StuckThreads(stuck)
        for key, assignment in wanted.items():
            if key not in self._groups:
                slot = self._progress.slot(assignment.slot)
                self._groups[key] = EngineThread(key, assignment.pipelines, slot, self._context)

    def _take_offer(self, offer: ipc.Offer, fds: list[int]) -> None:
        group = self._groups[offer.engine_key]  # control offers only what it has planned
        self._end_replay(offer.engine_key)  # the trial begins anew, or is over
        self._own_slot.begin(Busy.LOADING)
        try:
            own, twin = (f"/proc/self/fd/{fds[index]}" if fds else "" for index in (0, -1))
            group.load(offer, own, twin)
        except InferdError as exc:
            group.refused(str(exc))
            refused = ipc.OfferRefused(offer.engine_key, offer.description.ref, str(exc))
            self._context.teller.tell(("refused", offer.engine_key), refused)
        finally:
            for fd in fds:
                os.close(fd)

    def _replay(self, asked: ipc.ShadowReplay, fds: list[int]) -> None:
        """Begin to settle whether a model on trial, or the world, is to blame."""
        self._end_replay(asked.engine_key)
        held = ExitStack()
        for fd in fds:
            held.callback(os.close, fd)
        group = self._groups.get(asked.engine_key)
        if group is None:  # its accelerator has failed since control asked
            held.close()
            return
        replaying = group.replay(asked, f"/proc/self/fd/{fds[0]}" if fds else "")
        held.callback(replaying.close)
        self._replays[asked.engine_key] = replaying, held

    def _turn_replay(self) -> None:
        """Make a turn of the replay that was asked for first; at its end, tell what came of it."""
        for key in list(self._replays)[:1]:
            self._own_slot.begin(Busy.REPLAYING)
            try:
                next(self._replays[key][0])
            except StopIteration as ended:
                self._context.teller.tell(("replayed", key), ended.value)
                self._end_replay(key)
            self._own_slot.turn(self._context.clock.monotonic_ns())

    def _end_replay(self, key: str) -> None:
        """Let go of the model before; nobody needs an answer that was not given yet."""
        if key in self._replays:
            self._replays.pop(key)[1].close()

    def _show(self, asked: ipc.ShowFrame, fds: list[int]) -> None:
        """Have whoever asked for a frame answered by a thread of its own, which ends with the answer."""
        viewer: ToViewer = Channel(socket.socket(fileno=fds[0]), ipc.AskFrame)
        lanes = {name: lane for group in self._groups.values() for name, lane in group.lanes.items()}
        if asked.pipeline in lanes:
            encode = partial(jpeg, most_bytes=asked.jpeg_bytes) if asked.jpeg_bytes else png
            start(
                f"viewer {asked.pipeline}", SnapshotWriter(viewer, lanes[asked.pipeline], encode, drawn=asked.drawn).run
            )
        else:
            viewer.offer(ipc.SnapshotRefused(f"pipeline {asked.pipeline!r} has no model yet"))
            viewer.close()

    def _report(self) -> None:
        """Tell what was counted; while control has not taken the last report, go on counting."""
        for group in self._groups.values():
            group.mind()
        self._context.teller.retry()
        if self._context.teller.waits(COUNTS):
            return
        counts = {name: lane.counters.drain() for group in self._groups.values() for name, lane in group.lanes.items()}
        now_ns = self._context.clock.monotonic_ns()
        covered_s, self._drained_ns = (now_ns - self._drained_ns) / 1e9, now_ns
        self._context.teller.tell(COUNTS, ipc.Counts(covered_s, counts, self._context.teller.lost))

    def _stop_all(self) -> list[str]:
        for key in list(self._replays):
            self._end_replay(key)
        stuck = self._stop(list(self._groups.values()))
        self._report()
        return stuck

    def _stop(self, groups: Sequence[EngineThread]) -> list[str]:
        """End all threads of these groups together; return the names of those that do not end."""
        for group in groups:
            group.ask_to_stop()
        ends_ns = self._context.clock.monotonic_ns() + int(JOIN_S * 1e9)
        return [
            name
            for group in groups
            for name in group.stop(max(0.0, (ends_ns - self._context.clock.monotonic_ns()) / 1e9))
        ]


def main(channel_fd: int, progress_fd: int) -> int:
    """Be the worker: the seed's entry.

    Args:
        channel_fd: the socket to control.
        progress_fd: the shared page of counters.

    Returns:
        The process's exit code.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    to_control: ToControl = Channel(socket.socket(fileno=channel_fd), ipc.ToWorker)  # type: ignore[arg-type]  # a union
    teller = Outbound(to_control)
    stuck = Worker(WorkerContext(SystemClock(), teller), to_control, Heartbeats(progress_fd)).run()
    teller.tell(("stopped",), ipc.Stopped(tuple(stuck)))
    if stuck:
        os._exit(0)  # a thread inside native code would keep the interpreter from ending
    return 0
