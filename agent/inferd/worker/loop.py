"""The loop thread of one engine: takes the oldest waiting frame of its pipelines, turns it into a result, again and again.

A new engine is offered from outside and taken between two ticks. Frames wait; none is lost by the change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from msgspec.structs import replace

from inferd.errors import EngineError, InferdError, ModelError, NonFiniteOutput, SourceError
from inferd.pipeline import ObservedFrame, PipelineQueue, scene_ns, tick
from inferd.plugins import Task
from inferd.records import Frame, LabelSummary, ModelRef, Result, Tick
from inferd.system.clock import Clock
from inferd.system.processes.heartbeats import HeartbeatSlot
from inferd.system.threads import Condition, Event, Latest
from inferd.tasks.rules.schedule import is_open
from inferd.worker.cascade import CascadeExchange, PendingResult, ResultQueue
from inferd.worker.loaded_engine import LoadedEngine

CPU = "cpu"
GIVE_UP_AFTER = 3  # failures in a row of an accelerator without a twin; with one, the first is enough
IDLE_S = 0.25  # how often an idle loop says that it lives
FOREVER_NS = 1 << 62


class LoopObserver(Protocol):
    """Who hears what the loop does; called on the loop's thread, so it must never wait."""

    def taken(self, serving: LoadedEngine, old: LoadedEngine | None, pause_ms: float) -> None:
        """A new engine serves; the old one is the listener's to close."""

    def fell_back(self, old: LoadedEngine, twin: LoadedEngine | None, why: str) -> None:
        """An accelerator failed: its twin serves, or nothing; the old one's engine is the listener's to close."""

    def left(self, old: LoadedEngine) -> None:
        """The engine that served was let go, to make room for another; its engines are the listener's to close."""

    def reported(self, lane: PipelineQueue, ref: ModelRef, turn: Tick) -> None:
        """A result leaves."""

    def settled(self, lane: PipelineQueue, answer: LabelSummary) -> None:
        """A pipeline's debounced answer changed."""

    def running(self, lane: PipelineQueue) -> None:
        """A frame became a result."""

    def fault(self, lane: PipelineQueue, kind: str, why: str) -> None:
        """A frame gave no result, and why."""


class Loop:
    """Body of a loop thread."""

    def __init__(
        self,
        lanes: Mapping[str, PipelineQueue],
        changed: Condition,
        slot: HeartbeatSlot,
        clock: Clock,
        listener: LoopObserver,
        exchange: CascadeExchange | None = None,
    ) -> None:
        """Prepare a loop without an engine.

        Args:
            lanes: its pipelines by name, all made with `changed`.
            changed: notified when a frame or an offer arrives.
            slot: where it shows that it turns.
            clock: times the stages.
            listener: hears what happens.
            exchange: hands on what was found to pipelines that look closer.
        """
        self._lanes = lanes
        self._followed: Latest[Mapping[str, PipelineQueue]] = Latest(changed)
        self._changed = changed
        self._offered: Latest[LoadedEngine] = Latest(changed)
        self._slot = slot
        self._clock = clock
        self._listener = listener
        self._exchange = exchange or CascadeExchange()
        self._outgoing = {name: ResultQueue(changed) for name in lanes}
        self._serving: LoadedEngine | None = None
        self._leaving = Event()
        self._left_ns = 0
        self._failed_in_a_row = 0

    @property
    def serves(self) -> bool:
        """Whether an engine has been taken."""
        return self._serving is not None

    def serves_lane(self, lane: PipelineQueue) -> bool:
        """Whether the engine that was taken has steps for a lane."""
        return self._serving is not None and self._serving.serves(lane)

    def offer(self, serving: LoadedEngine) -> list[LoadedEngine]:
        """Offer an engine; return what was offered before and not taken, which the caller closes."""
        return self._offered.put(serving)

    def follow(self, lanes: Mapping[str, PipelineQueue]) -> None:
        """Have these lanes instead, between two ticks; what those that go still held is told."""
        self._followed.put(lanes)

    def let_go(self, timeout_s: float) -> bool:
        """Have the engine let go that serves, to make room for another; return whether that was done in time.

        Frames wait meanwhile, and newer ones replace them.
        """
        with self._changed:
            self._leaving.set()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._leaving.is_set(), timeout_s)

    def run(self, stop: Event) -> None:
        """Turn until `stop` is set, then tell what still waits and close the engine."""
        while not stop.is_set():
            self.turn()
        for lane in self._lanes.values():
            self._let_out(lane, FOREVER_NS)
        for serving in (self._serving, self._offered.take()):
            for engine in serving.engines if serving is not None else ():
                engine.close()

    def turn(self) -> None:
        """Take an engine that is offered; then turn the oldest frame into a result, or wait a little where there is none."""
        self._slot.turn(self._clock.monotonic_ns())
        if self._leaving.is_set():
            self._leave()
        self._take_lanes()
        self._take_offer()
        now_ns = self._clock.monotonic_ns()
        for waiting in self._lanes.values():
            self._let_out(waiting, now_ns)
        lane = self._oldest()
        if self._serving is None or lane is None:
            self._wait()
        else:
            self._infer(self._serving, lane)

    def _leave(self) -> None:
        old, self._serving = self._serving, None
        if old is not None:
            self._left_ns = self._clock.monotonic_ns()
            self._listener.left(old)
        with self._changed:
            self._leaving.clear()
            self._changed.notify_all()

    def _take_lanes(self) -> None:
        lanes = self._followed.take()
        if lanes is None:
            return
        for name, lane in self._lanes.items():
            if lanes.get(name) is not lane:
                self._let_out(lane, FOREVER_NS)
        kept = {name: self._outgoing[name] for name, lane in lanes.items() if self._lanes.get(name) is lane}
        self._lanes = lanes
        self._outgoing = {name: kept.get(name) or ResultQueue(self._changed) for name in lanes}

    def _take_offer(self) -> None:
        if self._offered.peek() is None:
            return
        started, self._left_ns = self._left_ns or self._clock.monotonic_ns(), 0
        offered = self._offered.take()
        if offered is not None:
            old, self._serving = self._serving, offered
            self._listener.taken(offered, old, (self._clock.monotonic_ns() - started) / 1e6)

    def _oldest(self) -> PipelineQueue | None:
        waiting = [
            (frame.taken_ns, name)
            for name, lane in self._lanes.items()
            if (frame := lane.frames.peek()) and (self._serving is None or self._serving.serves(lane))
        ]
        return self._lanes[min(waiting)[1]] if waiting else None

    def _wait(self) -> None:
        with self._changed:
            if (
                self._offered.peek() is None
                and self._followed.peek() is None
                and not self._leaving.is_set()
                and (self._serving is None or self._oldest() is None)
            ):
                now_ns = self._clock.monotonic_ns()
                due_s = (outgoing.due_s(now_ns) for outgoing in self._outgoing.values())
                self._changed.wait(min([IDLE_S, *(one for one in due_s if one is not None)]))

    def _infer(self, serving: LoadedEngine, lane: PipelineQueue) -> None:
        lane.inferring = True  # before the frame is taken: whoever waits for the last one looks at both
        frame = lane.frames.take()
        if frame is not None:
            result = self._infer_frame(serving, lane, frame) if self._fit(serving, lane, frame) else None
            if frame.answer is not None:
                frame.answer(result)
        self._let_out(lane, self._clock.monotonic_ns())

    def _infer_frame(self, serving: LoadedEngine, lane: PipelineQueue, frame: Frame) -> Result | None:
        """Return the result of a frame, which is on its way out; None where it gives none, which was told."""
        name = lane.pipeline.name
        try:
            turn = tick(frame, serving.steps[name], self._clock.monotonic_ns)
        except SourceError as exc:
            self._lose(lane, "preprocess_error", exc)
        except EngineError as exc:
            return self._fail(serving, lane, frame, exc)
        except NonFiniteOutput as exc:
            self._lose(lane, "nonfinite_output", exc)
        except ModelError as exc:
            self._lose(lane, "decode_error", exc)
        else:
            result = lane.follower.follow(turn.result, scene_ns(frame))
            seen = ObservedFrame(
                frame, turn if result is turn.result else replace(turn, result=result), serving.ref, None
            )
            self._hold(lane, seen, serving.steps[name].task)
            return result
        return None

    def _hold(self, lane: PipelineQueue, seen: ObservedFrame, task: Task) -> None:
        """Put a result on its way out, behind what others are to see in its objects."""
        outgoing = self._outgoing[lane.pipeline.name]
        question = self._exchange.give(lane.pipeline.name, seen.frame, seen.turn.result, outgoing)
        wait_ns = 0 if question is None else round(question.wait_s * 1e9)
        outgoing.put(PendingResult(seen, task, question, self._clock.monotonic_ns() + wait_ns))

    def _let_out(self, lane: PipelineQueue, now_ns: int) -> None:
        """Tell the results that wait for nothing any more."""
        outgoing = self._outgoing[lane.pipeline.name]
        for held in outgoing.leaving(now_ns):
            seen = held.joined()
            lane.show(seen.frame, seen.turn, seen.ref, held.task)
            self._tell(lane, seen.ref, seen.turn)
            if lane.pipeline.samples.keep_mb:
                lane.keep_hard(seen, self._clock.monotonic_ns())
        lane.inferring = not outgoing.empty

    def _fail(self, serving: LoadedEngine, lane: PipelineQueue, frame: Frame, error: EngineError) -> Result | None:
        """Have the twin answer this very frame, where there is one; give an accelerator up that only fails."""
        self._failed_in_a_row += 1
        on_cpu = serving.engine.info.accelerator == CPU
        if on_cpu or (serving.standby is None and self._failed_in_a_row < GIVE_UP_AFTER):
            self._lose(lane, "engine_error", error)
            return None
        twin = serving.standby and dataclasses.replace(serving.standby, degraded=str(error))
        self._serving, self._failed_in_a_row = twin, 0
        self._listener.fell_back(serving, twin, str(error))
        if twin is not None:
            return self._infer_frame(twin, lane, frame)
        self._lose(lane, "engine_error", error)
        return None

    def _lose(self, lane: PipelineQueue, cause: str, error: InferdError) -> None:
        lane.counters.dropped(cause)
        self._listener.fault(lane, cause, str(error))

    def _fit(self, serving: LoadedEngine, lane: PipelineQueue, frame: Frame) -> bool:
        """Count and tell a frame's flaws; return False where it is to be kept from the model."""
        findings = serving.steps[lane.pipeline.name].quality.judge(frame)
        for finding in findings:
            lane.counters.flawed(finding.flaw)
            self._listener.fault(lane, finding.flaw, f"{finding.flaw.replace('_', ' ')}: {finding.why}")
        kept_out = any(finding.keep_out for finding in findings)
        if kept_out:
            lane.counters.dropped("poor_quality")
        return not kept_out

    def _tell(self, lane: PipelineQueue, ref: ModelRef, turn: Tick) -> None:
        counts = is_open(lane.pipeline.schedule, turn.taken_at)
        verdict = lane.reporter.judge(turn.result, self._clock.monotonic_ns(), counts=counts)
        lane.counters.inferred(turn.times, reported=verdict.report)
        self._failed_in_a_row = 0
        self._listener.running(lane)
        if verdict.report:
            self._listener.reported(lane, ref, turn)
        if verdict.settled is not None:
            self._listener.settled(lane, verdict.settled)
