"""One engine: its loop thread and the pipelines that share it."""

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
from inferd.preprocess.change import ChangeGate
from inferd.system.processes.heartbeats import HeartbeatSlot
from inferd.system.threads import Condition, Event, join_all, start
from inferd.temporal_state import remembers
from inferd.worker.loaded_engine import LoadedEngine, MarkedEngine
from inferd.worker.loop import Loop
from inferd.worker.outbound import LoopOutbound, StatusReporter
from inferd.worker.pipeline_threads import PipelineThreads, WorkerContext
from inferd.worker.shadow_replay import Replaying, ShadowReplayRequest, settle

log = logging.getLogger(__name__)

JOIN_S = 0.7  # how long threads have to end; control kills a little later
SPARE_MB = 32.0  # left for frames in flight while two models are loaded
LET_GO_S = 5.0  # how long a busy engine may keep its memory


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
        self._observer = LoopOutbound(key, self._statuses, context.outbound)
        self._loop = Loop(self.queues, self._changed, slot, context.clock, self._observer, context.exchange)
        self._thread = start(f"loop {key}", self._run_loop)

    @property
    def pipelines(self) -> tuple[settings.Pipeline, ...]:
        """Its pipelines, in the order of the configuration."""
        return tuple(one.queue.pipeline for one in self._members.values())

    @property
    def queues(self) -> dict[str, PipelineQueue]:
        """Their queues by name."""
        return {name: one.queue for name, one in self._members.items()}

    @property
    def _statuses(self) -> dict[str, StatusReporter]:
        return {name: one.status for name, one in self._members.items()}

    def set_pipelines(self, pipelines: Sequence[settings.Pipeline]) -> list[str]:
        """Replace the pipelines; unchanged ones lose no frame.

        New ones wait for the next offer, which builds their steps.

        Returns:
            The names of threads that do not end.
        """
        before = self._members
        stay = {name: one for name, one in before.items() if one.queue.pipeline in pipelines}
        leave = [one for name, one in before.items() if name not in stay]
        for one in leave:
            one.ask_to_stop()
        stuck = join_all([thread for one in leave for thread in one.threads], JOIN_S)
        self._members = {
            one.name: stay.get(one.name) or PipelineThreads(one, self._changed, self._context) for one in pipelines
        }
        self._observer.set_statuses(self._statuses)
        self._loop.set_queues(self.queues)
        return stuck

    def load(self, offer: ipc.Offer, path: str, fallback_path: str) -> None:
        """Load and warm a model and its CPU fallback, and offer them to the loop.

        Raises:
            InferdError: it does not load, or does not fit a pipeline; the model before still serves, unless it was
                released for memory: then control offers it again.
        """
        self._make_room(offer)
        serving = self._serving(offer, path)
        if offer.fallback is not None:
            alone = msgspec.structs.replace(
                offer, description=offer.fallback.description, engine=offer.fallback.engine, fallback=None
            )
            try:
                serving = dataclasses.replace(serving, standby=self._serving(alone, fallback_path))
            except InferdError as exc:
                log.warning("the CPU fallback of %s cannot be loaded: %s", offer.description.ref.name, exc)
        for name, queue in self.queues.items():
            queue.wanted = serving.steps[name].wanted
            queue.frames.room = serving.steps[name].memory.frames
        for queue in self.queues.values():
            queue.recent.watch(offer.description.ref.digest, int(offer.replay_mb * (1 << 20)) // len(self.queues))
        self._remembers = remembers(offer.description)
        for replaced in self._loop.offer(serving):
            for engine in replaced.engines:
                engine.close()

    def replay(self, asked: ipc.ShadowReplay, path: str) -> Replaying:
        """Run the previous model on the trial's frames; they are freed where that ends the trial."""
        depends = self._remembers or (asked.description is not None and remembers(asked.description))
        told = yield from settle(
            ShadowReplayRequest(asked, path, self._fits(asked.needs_mb), depends), self.queues, self._clock
        )
        if not asked.always:
            for queue in self.queues.values():
                queue.recent.forget_frames()
        return told

    def _fits(self, needs_mb: float) -> bool:
        """Whether this much memory is free."""
        free_mb = self._available_bytes() / 1e6
        return not needs_mb or not free_mb or free_mb >= needs_mb + SPARE_MB

    def _make_room(self, offer: ipc.Offer) -> None:
        """Release the serving model where memory does not suffice for two; log it first."""
        needs_mb = offer.needs_mb * self._copies(offer)
        if not self._loop.serves or self._fits(needs_mb):
            return
        new, free_mb = offer.description.ref.title, self._available_bytes() / 1e6
        log.warning(
            "no memory for two models: %.0f MB free, %s needs %.0f MB; the serving model is released first",
            free_mb,
            new,
            needs_mb,
        )
        if not self._loop.release_engine(LET_GO_S):
            log.warning("the model that serves is still busy after %.0f s; both stay loaded meanwhile", LET_GO_S)
        self.housekeep()

    def _serving(self, offer: ipc.Offer, path: str) -> LoadedEngine:
        """Load a model and build each pipeline's steps.

        Raises:
            InferdError: it does not load, or does not fit a pipeline.
        """
        with ExitStack() as undo:
            engines = [self._engine(offer, path, undo) for _ in range(self._copies(offer))]
            steps = {
                pipeline.name: build_steps(
                    offer.description,
                    engine,
                    pipeline.roi,
                    pipeline.quality,
                    ChangeGate(pipeline.change, pipeline.mask),
                )
                for pipeline, engine in zip(self.pipelines, cycle(engines), strict=False)
            }
            undo.pop_all()
        return LoadedEngine(offer.description.ref, engines[0], steps, degraded=offer.degraded, queues=self.queues)

    def _engine(self, offer: ipc.Offer, path: str, undo: ExitStack) -> Engine:
        make = find("engine", ENGINES, offer.engine.kind)
        engine: Engine = make(path, offer.engine, self._clock, offer.description.ref.name)
        undo.callback(engine.close)
        return MarkedEngine(engine, self._slot)

    def _copies(self, offer: ipc.Offer) -> int:
        """Return how often a model is loaded: once, or once for each pipeline where it keeps state."""
        return len(self.pipelines) if offer.description.facts.stateful else 1

    def report_refused(self, why: str) -> None:
        """Report that the model was refused; pipelines that have one keep it."""
        for one in self._members.values():
            if not self._loop.serves_queue(one.queue):
                one.status.set_engine("failed", why)

    def housekeep(self) -> None:
        """Close replaced engines, and mark sources that are stuck inside a native read."""
        while self._observer.retired:
            self._observer.retired.pop().close()
        for name, queue in self.queues.items():
            if queue.silent(self._clock.monotonic_ns()):
                self._statuses[name].set_silent()

    def ask_to_stop(self) -> None:
        """Ask the threads to end."""
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
        self.housekeep()
        return stuck

    def _run_loop(self) -> None:
        self._loop.run(self._stop)
