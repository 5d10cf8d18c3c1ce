"""The data process: sources, engines and loops. It never waits for a disk or a network; control hears it through a channel.

The main thread listens to control, loads offered engines and drains the counters once a second. Each engine key has a
`Group`: one loop thread and a source thread for each of its pipelines.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.errors import InferdError
from inferd.parts import ENGINES, Engine, find
from inferd.pipeline import Lane, build_steps
from inferd.system.channel import Channel, Closed
from inferd.system.clock import Clock, SystemClock
from inferd.system.memory import available_bytes
from inferd.system.progress import Busy, Progress, Slot
from inferd.system.threads import Condition, Event, join_all, start
from inferd.tasks.draw import png
from inferd.tasks.jpeg import jpeg
from inferd.worker.capture import Capture
from inferd.worker.cascade import Exchange
from inferd.worker.loop import Loop, MarkedEngine, Serving
from inferd.worker.replay import Asked, settle
from inferd.worker.samples import Keeper
from inferd.worker.snapshot import ToViewer, Viewer
from inferd.worker.voices import LoopListener, PipelineVoice, Teller, ToControl

log = logging.getLogger(__name__)

TURN_S = 0.2  # how often the main thread shows that it turns; well below any deadline
REPORT_S = 0.5  # how often counters are drained
JOIN_S = 0.7  # how long threads have to end; control waits a little longer before it kills
COUNTS = ("counts",)
SPARE_MB = 32.0  # left for the frames in flight, when two models are held for a moment
LET_GO_S = 5.0  # how long an engine at work may keep its room


@dataclass(frozen=True, slots=True)
class Context:
    """What every room of the worker is given."""

    clock: Clock
    teller: Teller
    exchange: Exchange = field(default_factory=Exchange)
    available_bytes: Callable[[], int] = available_bytes


class Group:
    """One engine key: its loop thread, and the source threads of the pipelines that share the engine."""

    def __init__(self, key: str, pipelines: Sequence[settings.Pipeline], slot: Slot, context: Context) -> None:
        """Start the threads; frames wait until an engine is offered."""
        self.pipelines = tuple(pipelines)
        self._clock = context.clock
        self._available_bytes = context.available_bytes
        self._slot = slot
        self._stop = Event()
        self._changed = Condition()
        self.lanes = {pipeline.name: Lane(pipeline, self._changed) for pipeline in pipelines}
        self._voices = {name: PipelineVoice(name, context.teller) for name in self.lanes}
        self._listener = LoopListener(key, self._voices, context.teller)
        self._loop = Loop(self.lanes, self._changed, slot, context.clock, self._listener, context.exchange)
        self._threads = [start(f"loop {key}", self._run_loop)]
        for name, lane in self.lanes.items():
            capture = Capture(lane, context.clock, self._stop, self._voices[name], context.exchange)
            self._threads.append(start(f"source {name}", capture.run))
            if lane.pipeline.samples.keep_mb:
                keeper = Keeper(lane.pipeline, lane.picked, self._stop)
                self._threads.append(start(f"samples {name}", keeper.run))

    def load(self, offer: ipc.Offer, path: str, twin_path: str) -> None:
        """Load and warm a model, and the twin that comes with it, and offer it to the loop.

        Raises:
            InferdError: it does not load, or does not fit a pipeline; what served before still does, unless it had to
                make room: control offers that one again.
        """
        self._make_room(offer)
        serving = self._serving(offer, path)
        if offer.twin is not None:
            alone = msgspec.structs.replace(
                offer, description=offer.twin.description, engine=offer.twin.engine, twin=None
            )
            try:
                serving = dataclasses.replace(serving, standby=self._serving(alone, twin_path))
            except InferdError as exc:
                log.warning("the twin of %s cannot be kept warm: %s", offer.description.ref.name, exc)
        for name, made in serving.steps.items():
            self.lanes[name].wanted = made.wanted
            self.lanes[name].frames.room = made.memory.frames
        for lane in self.lanes.values():
            lane.recent.watch(offer.description.ref.digest, int(offer.replay_mb * (1 << 20)) // len(self.lanes))
        never_taken = self._loop.offer(serving)
        for engine in never_taken.engines if never_taken is not None else ():
            engine.close()

    def replay(self, asked: ipc.Replay, path: str) -> ipc.Replayed:
        """Show the model before what the one on trial was shown; its frames are let go of when the trial ends by that."""
        told = settle(Asked(asked, path, self._fits(asked.needs_mb)), self.lanes, self._clock)
        if not asked.always:
            for lane in self.lanes.values():
                lane.recent.forget_frames()
        return told

    def _fits(self, needs_mb: float) -> bool:
        """Whether there is memory for so much more."""
        free_mb = self._available_bytes() / 1e6
        return not needs_mb or not free_mb or free_mb >= needs_mb + SPARE_MB

    def _make_room(self, offer: ipc.Offer) -> None:
        """Let go of what serves where there is no memory for it and what is offered at a time; say so before."""
        needs_mb = offer.needs_mb * self._copies(offer)
        if not self._loop.serves or self._fits(needs_mb):
            return
        new, free_mb = offer.description.ref.title, self._available_bytes() / 1e6
        log.warning("no memory for two: %.0f MB free, %s takes %.0f; what serves ends first", free_mb, new, needs_mb)
        if not self._loop.let_go(LET_GO_S):
            log.warning("what serves is still at work after %.0f s; both are held at a time", LET_GO_S)
        self.mind()

    def _serving(self, offer: ipc.Offer, path: str) -> Serving:
        """Load a model and make what each pipeline's frames go through.

        Raises:
            InferdError: it does not load, or does not fit a pipeline.
        """
        with ExitStack() as undo:
            engines = [self._engine(offer, path, undo) for _ in range(self._copies(offer))]
            steps = {
                pipeline.name: build_steps(offer.description, engine, pipeline.roi, pipeline.quality)
                for pipeline, engine in zip(self.pipelines, cycle(engines), strict=False)
            }
            undo.pop_all()
        return Serving(offer.description.ref, engines[0], steps, degraded=offer.degraded)

    def _engine(self, offer: ipc.Offer, path: str, undo: ExitStack) -> Engine:
        make = find("engine", ENGINES, offer.engine.kind)
        engine: Engine = make(path, offer.engine, self._clock, offer.description.ref.name)
        undo.callback(engine.close)
        return MarkedEngine(engine, self._slot)

    def _copies(self, offer: ipc.Offer) -> int:
        """Return how often a model is loaded: once for all; one that remembers once for each, or they would share that."""
        return len(self.pipelines) if offer.description.facts.stateful else 1

    def refused(self, why: str) -> None:
        """Say that there is no model; pipelines that have one go on with it."""
        if not self._loop.serves:
            for voice in self._voices.values():
                voice.engine("failed", why)

    def mind(self) -> None:
        """Close engines that were replaced, and notice sources that are silent inside a native read."""
        while self._listener.retired:
            self._listener.retired.pop().close()
        for name, lane in self.lanes.items():
            if lane.silent(self._clock.monotonic_ns()):
                self._voices[name].silent()

    def ask_to_stop(self) -> None:
        """Tell the threads to end."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def stop(self, timeout_s: float) -> list[str]:
        """End the threads; return the names of those that do not end."""
        self.ask_to_stop()
        stuck = join_all(reversed(self._threads), timeout_s)
        self.mind()
        return stuck

    def _run_loop(self) -> None:
        self._loop.run(self._stop)


class StuckThreads(Exception):
    """Threads that were told to end and did not; their names."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


class Worker:
    """The worker's main thread: does what control says until it says stop, or is gone."""

    def __init__(self, context: Context, to_control: ToControl, progress: Progress) -> None:
        self._context = context
        self._to_control = to_control
        self._progress = progress
        self._own_slot = progress.slot(0)
        self._groups: dict[str, Group] = {}
        self._drained_ns = context.clock.monotonic_ns()

    def run(self) -> list[str]:
        """Serve control; return the names of threads that would not end."""
        clock = self._context.clock
        report_ns = clock.monotonic_ns()
        try:
            while True:
                self._own_slot.turn(clock.monotonic_ns())
                received = self._to_control.receive(min(TURN_S, max(0.0, (report_ns - clock.monotonic_ns()) / 1e9)))
                if received is not None and not self._obey(*received):
                    break
                if clock.monotonic_ns() >= report_ns:
                    report_ns += int(REPORT_S * 1e9)
                    self._report()
        except Closed:
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
            case ipc.Replay():
                self._replay(message, fds)
            case ipc.Show():
                self._show(message, fds)
            case ipc.Stop():
                return False
        return True

    def _arrange(self, plan: ipc.Plan) -> None:
        """Stop what changed or is no longer wanted, start what is new; other groups go on undisturbed.

        Raises:
            StuckThreads: one of them does not end: it holds its device and its slot, which only the worker's end frees.
        """
        wanted = {assignment.engine_key: assignment for assignment in plan.assignments}
        changed = [
            key for key, group in self._groups.items() if key not in wanted or wanted[key].pipelines != group.pipelines
        ]
        if stuck := self._stop([self._groups.pop(key) for key in changed]):
            raise StuckThreads(stuck)
        for key, assignment in wanted.items():
            if key not in self._groups:
                slot = self._progress.slot(assignment.slot)
                self._groups[key] = Group(key, assignment.pipelines, slot, self._context)

    def _take_offer(self, offer: ipc.Offer, fds: list[int]) -> None:
        group = self._groups[offer.engine_key]  # control offers only what it has planned
        self._own_slot.begin(Busy.LOADING)
        try:
            own, twin = (f"/proc/self/fd/{fds[index]}" if fds else "" for index in (0, -1))
            group.load(offer, own, twin)
        except InferdError as exc:
            group.refused(str(exc))
            refused = ipc.Refused(offer.engine_key, offer.description.ref, str(exc))
            self._context.teller.tell(("refused", offer.engine_key), refused)
        finally:
            for fd in fds:
                os.close(fd)

    def _replay(self, asked: ipc.Replay, fds: list[int]) -> None:
        """Settle whether a model on trial, or the world, is to blame; what goes on meanwhile is told afterwards."""
        self._own_slot.begin(Busy.LOADING)
        try:
            told = self._groups[asked.engine_key].replay(asked, f"/proc/self/fd/{fds[0]}" if fds else "")
            self._context.teller.tell(("replayed", asked.engine_key), told)
        finally:
            for fd in fds:
                os.close(fd)

    def _show(self, asked: ipc.Show, fds: list[int]) -> None:
        """Have whoever asked for a frame answered by a thread of its own, which ends with the answer."""
        viewer: ToViewer = Channel(socket.socket(fileno=fds[0]), ipc.AskFrame)
        lanes = {name: lane for group in self._groups.values() for name, lane in group.lanes.items()}
        if asked.pipeline in lanes:
            encode = partial(jpeg, most_bytes=asked.jpeg_bytes) if asked.jpeg_bytes else png
            start(f"viewer {asked.pipeline}", Viewer(viewer, lanes[asked.pipeline], encode, drawn=asked.drawn).run)
        else:
            viewer.offer(ipc.NotShown(f"pipeline {asked.pipeline!r} has no model yet"))
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
        stuck = self._stop(list(self._groups.values()))
        self._report()
        return stuck

    def _stop(self, groups: Sequence[Group]) -> list[str]:
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
    teller = Teller(to_control)
    stuck = Worker(Context(SystemClock(), teller), to_control, Progress(progress_fd)).run()
    teller.tell(("stopped",), ipc.Stopped(tuple(stuck)))
    if stuck:
        os._exit(0)  # a thread inside native code would keep the interpreter from ending
    return 0
