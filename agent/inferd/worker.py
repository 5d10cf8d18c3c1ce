"""The data process: sources, engines and loops. It never waits for a disk or a network; control hears it through a channel.

The main thread listens to control, loads offered engines and drains the counters once a second. Each engine key has a
`Group`: one loop thread and a source thread for each of its pipelines.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from inferd import ipc
from inferd.capture import Capture
from inferd.cascade import Exchange
from inferd.config import settings
from inferd.errors import InferdError
from inferd.loop import Loop, Serving
from inferd.parts import ENGINES, Engine, find
from inferd.pipeline import Lane, build_steps
from inferd.records import Answer, ModelRef, PipelineState, Tick
from inferd.samples import Keeper
from inferd.snapshot import ToViewer, Viewer
from inferd.system.channel import Channel, Closed
from inferd.system.clock import Clock, SystemClock
from inferd.system.progress import Busy, Progress, Slot
from inferd.system.threads import Condition, Event, Lock, join_all, start

log = logging.getLogger(__name__)

REPORT_S = 0.5  # how often counters are drained
GOOD_AGAIN = 20  # so many frames in a row must give a result before a degraded pipeline is called running
JOIN_S = 0.7  # how long threads have to end; control waits a little longer before it kills


ToControl = Channel[ipc.ToWorker, ipc.FromWorker]


@dataclass(frozen=True, slots=True)
class Context:
    """What every room of the worker is given."""

    clock: Clock
    to_control: ToControl
    exchange: Exchange = field(default_factory=Exchange)


class PipelineVoice:
    """Puts what a pipeline's source and engine say together into one state, and tells control when that changes."""

    # The first that applies is the pipeline's state.
    ORDER: tuple[PipelineState, ...] = ("failed", "ended", "waiting", "degraded", "running")

    def __init__(self, name: str, to_control: ToControl) -> None:
        self._name = name
        self._to_control = to_control
        self._lock = Lock()
        self._said: dict[str, tuple[PipelineState, str]] = {
            "source": ("waiting", "its source is being opened"),
            "engine": ("waiting", "its model is being loaded"),
        }
        self._told: tuple[PipelineState, str] | None = None
        self._faults: set[str] = set()

    def source(self, state: PipelineState, why: str) -> None:
        """Take the source's state."""
        self._say("source", state, why)

    def engine(self, state: PipelineState, why: str) -> None:
        """Take the engine's state."""
        self._say("engine", state, why)

    def silent(self) -> None:
        """Take that the source gives nothing, unless something more telling was said already."""
        if self._said["source"][0] == "running":
            self._say("source", "waiting", "its source gives nothing")

    def fault(self, kind: str, why: str) -> None:
        """Tell a fault the first time its kind occurs; after that the counters tell."""
        if kind not in self._faults:
            self._faults.add(kind)
            self._to_control.offer(ipc.Fault(self._name, kind, why))

    def _say(self, part: str, state: PipelineState, why: str) -> None:
        if self._said[part] == (state, why):
            return
        with self._lock:
            self._said[part] = (state, why)
            told = min(self._said.values(), key=lambda said: self.ORDER.index(said[0]))
            if told != self._told and self._to_control.offer(ipc.Status(self._name, *told)):
                self._told = told


class LoopListener:
    """What the loop of one group does, as messages to control. Called on the loop's thread."""

    def __init__(self, key: str, voices: Mapping[str, PipelineVoice], to_control: ToControl) -> None:
        self._key = key
        self._voices = voices
        self._to_control = to_control
        self._good_left = dict.fromkeys(voices, 0)
        self._degraded = ""
        self.retired: list[Engine] = []

    def taken(self, serving: Serving, old: Serving | None, pause_ms: float) -> None:
        """Tell that a new engine serves; keep the old one for the main thread to close (closing holds the GIL)."""
        info = serving.engine.info
        self._degraded = serving.degraded
        self._to_control.offer(
            ipc.Taken(self._key, serving.ref, info, old is not None, pause_ms, degraded=serving.degraded)
        )
        if old is not None:
            self.retired += old.engines

    def fell_back(self, old: Serving, twin: Serving | None, why: str) -> None:
        """Tell that an accelerator failed and what serves instead."""
        self._to_control.offer(ipc.FellBack(self._key, why, twin is not None))
        self.retired.append(old.engine)
        if twin is not None:
            self.taken(twin, None, 0.0)
        for voice in self._voices.values():
            voice.engine("degraded" if twin else "failed", why)

    def reported(self, lane: Lane, ref: ModelRef, turn: Tick) -> None:
        """Send a result."""
        self._to_control.offer(ipc.Reported(lane.pipeline.name, ref, turn))

    def settled(self, lane: Lane, answer: Answer) -> None:
        """Send a changed answer."""
        self._to_control.offer(ipc.Settled(lane.pipeline.name, answer))

    def running(self, lane: Lane) -> None:
        """Say that frames become results again, once enough of them did."""
        name = lane.pipeline.name
        if self._good_left[name]:
            self._good_left[name] -= 1
        else:
            self._voices[name].engine("degraded" if self._degraded else "running", self._degraded)

    def fault(self, lane: Lane, kind: str, why: str) -> None:
        """Say that a frame gave no result."""
        name = lane.pipeline.name
        self._good_left[name] = GOOD_AGAIN
        self._voices[name].engine("degraded", why)
        self._voices[name].fault(kind, why)


class Group:
    """One engine key: its loop thread, and the source threads of the pipelines that share the engine."""

    def __init__(self, key: str, pipelines: Sequence[settings.Pipeline], slot: Slot, context: Context) -> None:
        """Start the threads; frames wait until an engine is offered."""
        self.pipelines = tuple(pipelines)
        self._clock = context.clock
        self._stop = Event()
        self._changed = Condition()
        self.lanes = {pipeline.name: Lane(pipeline, self._changed) for pipeline in pipelines}
        self._voices = {name: PipelineVoice(name, context.to_control) for name in self.lanes}
        self._listener = LoopListener(key, self._voices, context.to_control)
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
            InferdError: it does not load, or does not fit a pipeline; what served before still does.
        """
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
        never_taken = self._loop.offer(serving)
        for engine in never_taken.engines if never_taken is not None else ():
            engine.close()

    def _serving(self, offer: ipc.Offer, path: str) -> Serving:
        """Load a model and make what each pipeline's frames go through.

        Raises:
            InferdError: it does not load, or does not fit a pipeline.
        """
        make = find("engine", ENGINES, offer.engine.kind)
        engine: Engine = make(path, offer.engine, self._clock, offer.description.ref.name)
        try:
            steps = {
                pipeline.name: build_steps(offer.description, engine, pipeline.roi, pipeline.quality)
                for pipeline in self.pipelines
            }
        except InferdError:
            engine.close()
            raise
        return Serving(offer.description.ref, engine, steps, degraded=offer.degraded)

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


class Worker:
    """The worker's main thread: does what control says until it says stop, or is gone."""

    def __init__(self, context: Context, progress: Progress) -> None:
        self._context = context
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
                received = self._context.to_control.receive(max(0.0, (report_ns - clock.monotonic_ns()) / 1e9))
                if received is not None and not self._obey(*received):
                    break
                if clock.monotonic_ns() >= report_ns:
                    report_ns += int(REPORT_S * 1e9)
                    self._report()
        except Closed:
            log.info("worker ends: control is gone")
        return self._stop_all()

    def _obey(self, message: ipc.ToWorker, fds: list[int]) -> bool:
        match message:
            case ipc.Plan():
                self._arrange(message)
            case ipc.Offer():
                self._take_offer(message, fds)
            case ipc.Show():
                self._show(message, fds)
            case ipc.Stop():
                return False
        return True

    def _arrange(self, plan: ipc.Plan) -> None:
        """Stop what changed or is no longer wanted, start what is new; the rest goes on undisturbed."""
        wanted = {assignment.engine_key: assignment for assignment in plan.assignments}
        for key, group in list(self._groups.items()):
            if key not in wanted or wanted[key].pipelines != group.pipelines:
                self._groups.pop(key).stop(JOIN_S)
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
            self._context.to_control.offer(ipc.Refused(offer.engine_key, offer.description.ref, str(exc)))
        finally:
            for fd in fds:
                os.close(fd)

    def _show(self, asked: ipc.Show, fds: list[int]) -> None:
        """Have whoever asked for a frame answered by a thread of its own, which ends with the answer."""
        viewer: ToViewer = Channel(socket.socket(fileno=fds[0]), ipc.AskFrame)
        lanes = {name: lane for group in self._groups.values() for name, lane in group.lanes.items()}
        if asked.pipeline in lanes:
            start(f"viewer {asked.pipeline}", Viewer(viewer, lanes[asked.pipeline], drawn=asked.drawn).run)
        else:
            viewer.offer(ipc.NotShown(f"pipeline {asked.pipeline!r} has no model yet"))
            viewer.close()

    def _report(self) -> None:
        counts = {}
        for group in self._groups.values():
            group.mind()
            counts.update({name: lane.counters.drain() for name, lane in group.lanes.items()})
        lost = self._context.to_control.refused
        now_ns = self._context.clock.monotonic_ns()
        covered_s, self._drained_ns = (now_ns - self._drained_ns) / 1e9, now_ns
        self._context.to_control.offer(ipc.Counts(covered_s, counts, lost))

    def _stop_all(self) -> list[str]:
        for group in self._groups.values():
            group.ask_to_stop()
        ends_ns = self._context.clock.monotonic_ns() + int(JOIN_S * 1e9)
        stuck = []
        for group in self._groups.values():
            stuck += group.stop(max(0.0, (ends_ns - self._context.clock.monotonic_ns()) / 1e9))
        self._report()
        return stuck


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
    stuck = Worker(Context(SystemClock(), to_control), Progress(progress_fd)).run()
    to_control.offer(ipc.Stopped(tuple(stuck)))
    if stuck:
        os._exit(0)  # a thread inside native code would keep the interpreter from ending
    return 0
