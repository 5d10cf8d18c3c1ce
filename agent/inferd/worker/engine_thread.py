"""One engine: the loop thread that turns it, and the pipelines that share it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.errors import InferdError
from inferd.pipeline import PipelineQueue, build_steps
from inferd.plugins import ENGINES, Engine, find
from inferd.system.processes.heartbeats import HeartbeatSlot
from inferd.system.threads import Condition, Event, join_all, start
from inferd.temporal_state import remembers
from inferd.worker.loaded_engine import LoadedEngine, MarkedEngine
from inferd.worker.loop import Loop
from inferd.worker.outbound import LoopOutbound, PipelineOutbound
from inferd.worker.pipeline_threads import PipelineThreads, WorkerContext
from inferd.worker.shadow_replay import Replaying, ShadowReplayRequest, settle

log = logging.getLogger(__name__)

JOIN_S = 0.7  # how long threads have to end; control waits a little longer before it kills
SPARE_MB = 32.0  # left for the frames in flight, when two models are held for a moment
LET_GO_S = 5.0  # how long an engine at work may keep its room


class EngineThread:
    """One engine key: its loop thread, and the source threads of the pipelines that share the engine."""

    def __init__(
        self, key: str, pipelines: Sequence[settings.Pipeline], slot: HeartbeatSlot, context: WorkerContext
    ) -> None:
        """Start the threads; frames wait until an engine is offered."""
        self._context = context
        self._clock = context.clock
        self._available_bytes = context.available_bytes
        self._slot = slot
        self._stop = Event()
        self._changed = Condition()
        self._members = {one.name: PipelineThreads(one, self._changed, context) for one in pipelines}
        self._remembers = False
        self._listener = LoopOutbound(key, self._voices, context.teller)
        self._loop = Loop(self.lanes, self._changed, slot, context.clock, self._listener, context.exchange)
        self._thread = start(f"loop {key}", self._run_loop)

    @property
    def pipelines(self) -> tuple[settings.Pipeline, ...]:
        """Its pipelines, in the order of the configuration."""
        return tuple(one.lane.pipeline for one in self._members.values())

    @property
    def lanes(self) -> dict[str, PipelineQueue]:
        """Their lanes by name."""
        return {name: one.lane for name, one in self._members.items()}

    @property
    def _voices(self) -> dict[str, PipelineOutbound]:
        return {name: one.voice for name, one in self._members.items()}

    def rearrange(self, pipelines: Sequence[settings.Pipeline]) -> list[str]:
        """Have other pipelines from now on; those that stay as they are lose no frame.

        What is new waits for the next offer: the steps of its frames are made with that.

        Returns:
            The names of threads that do not end.
        """
        before = self._members
        stay = {name: one for name, one in before.items() if one.lane.pipeline in pipelines}
        leave = [one for name, one in before.items() if name not in stay]
        for one in leave:
            one.ask_to_stop()
        stuck = join_all([thread for one in leave for thread in one.threads], JOIN_S)
        self._members = {
            one.name: stay.get(one.name) or PipelineThreads(one, self._changed, self._context) for one in pipelines
        }
        self._listener.follow(self._voices)
        self._loop.follow(self.lanes)
        return stuck

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
        for name, lane in self.lanes.items():
            lane.wanted = serving.steps[name].wanted
            lane.frames.room = serving.steps[name].memory.frames
        for lane in self.lanes.values():
            lane.recent.watch(offer.description.ref.digest, int(offer.replay_mb * (1 << 20)) // len(self.lanes))
        self._remembers = remembers(offer.description)
        for never_taken in self._loop.offer(serving):
            for engine in never_taken.engines:
                engine.close()

    def replay(self, asked: ipc.ShadowReplay, path: str) -> Replaying:
        """Show the model before what the one on trial was shown; its frames are let go of when the trial ends by that."""
        depends = self._remembers or (asked.description is not None and remembers(asked.description))
        told = yield from settle(
            ShadowReplayRequest(asked, path, self._fits(asked.needs_mb), depends), self.lanes, self._clock
        )
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

    def _serving(self, offer: ipc.Offer, path: str) -> LoadedEngine:
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
        return LoadedEngine(offer.description.ref, engines[0], steps, degraded=offer.degraded, lanes=self.lanes)

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
        for one in self._members.values():
            if not self._loop.serves_lane(one.lane):
                one.voice.engine("failed", why)

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
        for one in self._members.values():
            one.ask_to_stop()
        with self._changed:
            self._changed.notify_all()

    def stop(self, timeout_s: float) -> list[str]:
        """End the threads; return the names of those that do not end."""
        self.ask_to_stop()
        sources = [thread for one in self._members.values() for thread in one.threads]
        stuck = join_all([*sources, self._thread], timeout_s)
        self.mind()
        return stuck

    def _run_loop(self) -> None:
        self._loop.run(self._stop)
