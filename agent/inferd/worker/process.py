"""The data process: sources, engines and loops. It never waits for a disk or a network; a channel connects it to control.

The main thread handles control's messages, loads offered engines, drains counters and steps shadow replays. Each engine key
has an `EngineThread`: one loop thread and a source thread for each of its pipelines.
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
from inferd.worker.snapshot import FrameChannel, SnapshotWriter

log = logging.getLogger(__name__)

TURN_S = 0.2  # how often the main thread updates its heartbeat; well below any deadline
REPORT_S = 0.5  # how often counters are drained
COUNTS = ("counts",)


class StuckThreads(Exception):
    """Names of threads that did not end when asked."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


class Worker:
    """The worker's main thread: handles control's messages until Stop, or until control is gone."""

    def __init__(self, context: WorkerContext, to_control: ToControl, progress: Heartbeats) -> None:
        self._context = context
        self._to_control = to_control
        self._progress = progress
        self._own_slot = progress.slot(0)
        self._engine_threads: dict[str, EngineThread] = {}
        self._replays: dict[str, tuple[Replaying, ExitStack]] = {}
        self._drained_ns = context.clock.monotonic_ns()

    def run(self) -> list[str]:
        """Serve control; return the names of threads that did not end."""
        clock = self._context.clock
        report_ns = clock.monotonic_ns()
        try:
            while True:
                self._own_slot.turn(clock.monotonic_ns())
                wait_s = PAUSE_S if self._replays else TURN_S
                received = self._to_control.receive(min(wait_s, max(0.0, (report_ns - clock.monotonic_ns()) / 1e9)))
                if received is not None and not self._handle_message(*received):
                    break
                self._step_replay()
                if clock.monotonic_ns() >= report_ns:
                    report_ns += int(REPORT_S * 1e9)
                    self._report()
        except ChannelClosed:
            log.info("worker ends: control is gone")
        except StuckThreads as exc:
            return exc.names + self._stop_all()
        return self._stop_all()

    def _handle_message(self, message: ipc.ToWorker, fds: list[int]) -> bool:
        match message:
            case ipc.Plan():
                self._apply_plan(message)
            case ipc.Offer():
                self._apply_offer(message, fds)
            case ipc.ShadowReplay():
                self._replay(message, fds)
            case ipc.ShowFrame():
                self._send_snapshot(message, fds)
            case ipc.Stop():
                return False
        return True

    def _apply_plan(self, plan: ipc.Plan) -> None:
        """Stop removed pipelines and start new ones; unchanged ones continue undisturbed.

        Raises:
            StuckThreads: one does not end: only the worker's end frees its device and slot.
        """
        wanted = {assignment.engine_key: assignment for assignment in plan.assignments}
        for key in [key for key in self._replays if key not in wanted]:
            self._end_replay(key)
        stuck = self._stop([self._engine_threads.pop(key) for key in list(self._engine_threads) if key not in wanted])
        for key, engine_thread in self._engine_threads.items():
            if engine_thread.pipelines != wanted[key].pipelines:
                stuck += engine_thread.set_pipelines(wanted[key].pipelines)
        if stuck:
            raise StuckThreads(stuck)
        for key, assignment in wanted.items():
            if key not in self._engine_threads:
                slot = self._progress.slot(assignment.slot)
                self._engine_threads[key] = EngineThread(key, assignment.pipelines, slot, self._context)

    def _apply_offer(self, offer: ipc.Offer, fds: list[int]) -> None:
        engine_thread = self._engine_threads[offer.engine_key]  # control only offers keys of its plan
        self._end_replay(offer.engine_key)  # the trial restarts or is over
        self._own_slot.begin(Busy.LOADING)
        try:
            own, fallback = (f"/proc/self/fd/{fds[index]}" if fds else "" for index in (0, -1))
            engine_thread.load(offer, own, fallback)
        except InferdError as exc:
            engine_thread.report_refused(str(exc))
            refused = ipc.OfferRefused(offer.engine_key, offer.description.ref, str(exc))
            self._context.outbound.send(("refused", offer.engine_key), refused)
        finally:
            for fd in fds:
                os.close(fd)

    def _replay(self, asked: ipc.ShadowReplay, fds: list[int]) -> None:
        """Start a shadow replay."""
        self._end_replay(asked.engine_key)
        pending = ExitStack()
        for fd in fds:
            pending.callback(os.close, fd)
        engine_thread = self._engine_threads.get(asked.engine_key)
        if engine_thread is None:  # its accelerator has failed since control asked
            pending.close()
            return
        replaying = engine_thread.replay(asked, f"/proc/self/fd/{fds[0]}" if fds else "")
        pending.callback(replaying.close)
        self._replays[asked.engine_key] = replaying, pending

    def _step_replay(self) -> None:
        """Make a turn of the replay that was asked for first; at its end, tell what came of it."""
        for key in list(self._replays)[:1]:
            self._own_slot.begin(Busy.REPLAYING)
            try:
                next(self._replays[key][0])
            except StopIteration as ended:
                self._context.outbound.send(("replayed", key), ended.value)
                self._end_replay(key)
            self._own_slot.turn(self._context.clock.monotonic_ns())

    def _end_replay(self, key: str) -> None:
        """Release the previous model; its answer is no longer needed."""
        if key in self._replays:
            self._replays.pop(key)[1].close()

    def _send_snapshot(self, asked: ipc.ShowFrame, fds: list[int]) -> None:
        """Start a thread that answers a snapshot request."""
        viewer: FrameChannel = Channel(socket.socket(fileno=fds[0]), ipc.Stop)
        queues = {
            name: queue
            for engine_thread in self._engine_threads.values()
            for name, queue in engine_thread.queues.items()
        }
        if asked.pipeline in queues:
            encode = partial(jpeg, most_bytes=asked.jpeg_bytes) if asked.jpeg_bytes else png
            start(
                f"viewer {asked.pipeline}",
                SnapshotWriter(viewer, queues[asked.pipeline], encode, drawn=asked.drawn).run,
            )
        else:
            viewer.offer(ipc.SnapshotRefused(f"pipeline {asked.pipeline!r} has no model yet"))
            viewer.close()

    def _report(self) -> None:
        """Send the counters; go on counting while control has not read the last report."""
        for engine_thread in self._engine_threads.values():
            engine_thread.housekeep()
        self._context.outbound.retry()
        if self._context.outbound.waits(COUNTS):
            return
        counts = {
            name: queue.counters.drain()
            for engine_thread in self._engine_threads.values()
            for name, queue in engine_thread.queues.items()
        }
        now_ns = self._context.clock.monotonic_ns()
        covered_s, self._drained_ns = (now_ns - self._drained_ns) / 1e9, now_ns
        self._context.outbound.send(COUNTS, ipc.Counts(covered_s, counts, self._context.outbound.lost))

    def _stop_all(self) -> list[str]:
        for key in list(self._replays):
            self._end_replay(key)
        stuck = self._stop(list(self._engine_threads.values()))
        self._report()
        return stuck

    def _stop(self, engine_threads: Sequence[EngineThread]) -> list[str]:
        """Stop these engine threads together; return the names of threads that do not end."""
        for engine_thread in engine_threads:
            engine_thread.ask_to_stop()
        ends_ns = self._context.clock.monotonic_ns() + int(JOIN_S * 1e9)
        return [
            name
            for engine_thread in engine_threads
            for name in engine_thread.stop(max(0.0, (ends_ns - self._context.clock.monotonic_ns()) / 1e9))
        ]


def main(channel_fd: int, progress_fd: int) -> int:
    """Run the worker: entry point of the fork server.

    Args:
        channel_fd: the socket to control.
        progress_fd: the shared page of counters.

    Returns:
        The process's exit code.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    to_control: ToControl = Channel(socket.socket(fileno=channel_fd), ipc.ToWorker)  # type: ignore[arg-type]  # a union
    outbound = Outbound(to_control)
    stuck = Worker(WorkerContext(SystemClock(), outbound), to_control, Heartbeats(progress_fd)).run()
    outbound.send(("stopped",), ipc.Stopped(tuple(stuck)))
    if stuck:
        os._exit(0)  # a thread inside native code would keep the interpreter from ending
    return 0
