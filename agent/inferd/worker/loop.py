"""The loop thread of one engine: infers the oldest waiting frame of its pipelines, again and again.

An offered engine is swapped in between two ticks; frames wait meanwhile and none is lost.
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
from inferd.tasks.rules.masks import without_ignored
from inferd.tasks.rules.schedule import is_open
from inferd.worker.cascade import CascadeExchange, PendingResult, ResultQueue
from inferd.worker.loaded_engine import LoadedEngine

CPU = "cpu"
GIVE_UP_AFTER = 3  # failures in a row of an accelerator without a CPU fallback; with one, the first is enough
IDLE_S = 0.25  # how often an idle loop updates its heartbeat
FOREVER_NS = 1 << 62


class LoopObserver(Protocol):
    """Receives the loop's events on the loop's thread, so it must never wait."""

    def engine_taken(self, serving: LoadedEngine, old: LoadedEngine | None, pause_ms: float) -> None:
        """A new engine serves; the observer closes the old one."""

    def fell_back(self, old: LoadedEngine, fallback: LoadedEngine | None, why: str) -> None:
        """An accelerator failed: its CPU fallback serves, or nothing; the observer closes the old engine."""

    def engine_released(self, old: LoadedEngine) -> None:
        """The serving engine was released to free memory; the observer closes its engines."""

    def result_reported(self, queue: PipelineQueue, ref: ModelRef, turn: Tick) -> None:
        """A result is reported."""

    def answer_settled(self, queue: PipelineQueue, answer: LabelSummary) -> None:
        """A pipeline's debounced answer changed."""

    def frame_inferred(self, queue: PipelineQueue) -> None:
        """A frame became a result."""

    def frame_failed(self, queue: PipelineQueue, kind: str, why: str) -> None:
        """A frame gave no result."""


class Loop:
    """Body of a loop thread."""

    def __init__(
        self,
        queues: Mapping[str, PipelineQueue],
        changed: Condition,
        slot: HeartbeatSlot,
        clock: Clock,
        observer: LoopObserver,
        exchange: CascadeExchange | None = None,
    ) -> None:
        """Prepare a loop without an engine.

        Args:
            queues: its pipelines by name, all made with `changed`.
            changed: notified when a frame or an offer arrives.
            slot: its heartbeat.
            clock: times the stages.
            observer: receives the events.
            exchange: passes boxes on to cascaded pipelines.
        """
        self._queues = queues
        self._new_queues: Latest[Mapping[str, PipelineQueue]] = Latest(changed)
        self._changed = changed
        self._offered: Latest[LoadedEngine] = Latest(changed)
        self._slot = slot
        self._clock = clock
        self._observer = observer
        self._exchange = exchange or CascadeExchange()
        self._outgoing = {name: ResultQueue(changed) for name in queues}
        self._serving: LoadedEngine | None = None
        self._releasing = Event()
        self._released_ns = 0
        self._failed_in_a_row = 0

    @property
    def serves(self) -> bool:
        """Whether an engine serves."""
        return self._serving is not None

    def serves_queue(self, queue: PipelineQueue) -> bool:
        """Whether the serving engine has steps for a queue."""
        return self._serving is not None and self._serving.serves(queue)

    def offer(self, serving: LoadedEngine) -> list[LoadedEngine]:
        """Offer an engine; return earlier offers that were never used, which the caller closes."""
        return self._offered.put(serving)

    def set_queues(self, queues: Mapping[str, PipelineQueue]) -> None:
        """Replace the queues between two ticks; pending results of removed queues are reported."""
        self._new_queues.put(queues)

    def release_engine(self, timeout_s: float) -> bool:
        """Release the serving engine to free memory; return whether that was done in time.

        Frames wait meanwhile, and newer ones replace them.
        """
        with self._changed:
            self._releasing.set()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._releasing.is_set(), timeout_s)

    def run(self, stop: Event) -> None:
        """Run until `stop` is set, then report pending results and close the engine."""
        while not stop.is_set():
            self.run_once()
        for queue in self._queues.values():
            self._release_results(queue, FOREVER_NS)
        for serving in (self._serving, self._offered.take()):
            for engine in serving.engines if serving is not None else ():
                engine.close()

    def run_once(self) -> None:
        """Apply offers, then infer the oldest frame, or wait a little where there is none."""
        self._slot.turn(self._clock.monotonic_ns())
        if self._releasing.is_set():
            self._release()
        self._apply_queues()
        self._apply_offer()
        now_ns = self._clock.monotonic_ns()
        for waiting in self._queues.values():
            self._release_results(waiting, now_ns)
        queue = self._oldest()
        if self._serving is None or queue is None:
            self._wait()
        else:
            self._infer(self._serving, queue)

    def _release(self) -> None:
        old, self._serving = self._serving, None
        if old is not None:
            self._released_ns = self._clock.monotonic_ns()
            self._observer.engine_released(old)
        with self._changed:
            self._releasing.clear()
            self._changed.notify_all()

    def _apply_queues(self) -> None:
        queues = self._new_queues.take()
        if queues is None:
            return
        for name, queue in self._queues.items():
            if queues.get(name) is not queue:
                self._release_results(queue, FOREVER_NS)
        kept = {name: self._outgoing[name] for name, queue in queues.items() if self._queues.get(name) is queue}
        self._queues = queues
        self._outgoing = {name: kept.get(name) or ResultQueue(self._changed) for name in queues}

    def _apply_offer(self) -> None:
        if self._offered.peek() is None:
            return
        started, self._released_ns = self._released_ns or self._clock.monotonic_ns(), 0
        offered = self._offered.take()
        if offered is not None:
            old, self._serving = self._serving, offered
            self._observer.engine_taken(offered, old, (self._clock.monotonic_ns() - started) / 1e6)

    def _oldest(self) -> PipelineQueue | None:
        waiting = [
            (frame.taken_ns, name)
            for name, queue in self._queues.items()
            if (frame := queue.frames.peek()) and (self._serving is None or self._serving.serves(queue))
        ]
        return self._queues[min(waiting)[1]] if waiting else None

    def _wait(self) -> None:
        with self._changed:
            if (
                self._offered.peek() is None
                and self._new_queues.peek() is None
                and not self._releasing.is_set()
                and (self._serving is None or self._oldest() is None)
            ):
                now_ns = self._clock.monotonic_ns()
                due_s = (outgoing.due_s(now_ns) for outgoing in self._outgoing.values())
                self._changed.wait(min([IDLE_S, *(one for one in due_s if one is not None)]))

    def _infer(self, serving: LoadedEngine, queue: PipelineQueue) -> None:
        queue.inferring = True  # set before the frame is taken: waiting for the last frame checks both
        frame = queue.frames.take()
        if frame is not None:
            result = self._infer_frame(serving, queue, frame) if self._is_wanted(serving, queue, frame) else None
            if frame.answer is not None:
                frame.answer(result)
        self._release_results(queue, self._clock.monotonic_ns())

    def _infer_frame(self, serving: LoadedEngine, queue: PipelineQueue, frame: Frame) -> Result | None:
        """Return the result of a frame and queue it; None where it failed, which is reported."""
        name = queue.pipeline.name
        try:
            turn = tick(frame, serving.steps[name], self._clock.monotonic_ns)
        except SourceError as exc:
            self._drop_frame(queue, "preprocess_error", exc)
        except EngineError as exc:
            return self._handle_engine_error(serving, queue, frame, exc)
        except NonFiniteOutput as exc:
            self._drop_frame(queue, "nonfinite_output", exc)
        except ModelError as exc:
            self._drop_frame(queue, "decode_error", exc)
        else:
            counted, ignored = without_ignored(turn.result, queue.pipeline.mask)
            if ignored:
                queue.counters.boxes_ignored(ignored)
            result = queue.tracker.follow(counted, scene_ns(frame))
            seen = ObservedFrame(
                frame, turn if result is turn.result else replace(turn, result=result), serving.ref, None
            )
            self._queue_result(queue, seen, serving.steps[name].task)
            return result
        return None

    def _queue_result(self, queue: PipelineQueue, seen: ObservedFrame, task: Task) -> None:
        """Queue a result, which waits for the answers of cascaded pipelines."""
        outgoing = self._outgoing[queue.pipeline.name]
        question = self._exchange.offer(queue.pipeline.name, seen.frame, seen.turn.result, outgoing)
        wait_ns = 0 if question is None else round(question.wait_s * 1e9)
        outgoing.put(PendingResult(seen, task, question, self._clock.monotonic_ns() + wait_ns))

    def _release_results(self, queue: PipelineQueue, now_ns: int) -> None:
        """Report the results that are complete."""
        outgoing = self._outgoing[queue.pipeline.name]
        for pending in outgoing.pop_ready(now_ns):
            seen = pending.joined()
            queue.publish_observed(seen.frame, seen.turn, seen.ref, pending.task)
            self._report_result(queue, seen.ref, seen.turn)
            if queue.pipeline.samples.keep_mb:
                queue.pick_sample(seen, self._clock.monotonic_ns())
        queue.inferring = not outgoing.empty

    def _handle_engine_error(
        self, serving: LoadedEngine, queue: PipelineQueue, frame: Frame, error: EngineError
    ) -> Result | None:
        """Have the CPU fallback infer this frame; give up an accelerator that keeps failing."""
        self._failed_in_a_row += 1
        on_cpu = serving.engine.info.accelerator == CPU
        if on_cpu or (serving.standby is None and self._failed_in_a_row < GIVE_UP_AFTER):
            self._drop_frame(queue, "engine_error", error)
            return None
        fallback = serving.standby and dataclasses.replace(serving.standby, degraded=str(error))
        self._serving, self._failed_in_a_row = fallback, 0
        self._observer.fell_back(serving, fallback, str(error))
        if fallback is not None:
            return self._infer_frame(fallback, queue, frame)
        self._drop_frame(queue, "engine_error", error)
        return None

    def _drop_frame(self, queue: PipelineQueue, cause: str, error: InferdError) -> None:
        queue.counters.dropped(cause)
        self._observer.frame_failed(queue, cause, str(error))

    def _check_quality(self, serving: LoadedEngine, queue: PipelineQueue, frame: Frame) -> bool:
        """Count and report a frame's flaws; return False where the model must not get it."""
        findings = serving.steps[queue.pipeline.name].quality.judge(frame)
        for finding in findings:
            queue.counters.flawed(finding.flaw)
            self._observer.frame_failed(queue, finding.flaw, f"{finding.flaw.replace('_', ' ')}: {finding.why}")
        kept_out = any(finding.keep_out for finding in findings)
        if kept_out:
            queue.counters.dropped("poor_quality")
        return not kept_out

    def _is_wanted(self, serving: LoadedEngine, queue: PipelineQueue, frame: Frame) -> bool:
        """Whether the model is to see a frame; one that cannot be judged costs this frame only."""
        try:
            return self._check_quality(serving, queue, frame) and self._check_change(serving, queue, frame)
        except Exception as exc:  # noqa: BLE001 - a frame of any shape comes here, and OpenCV raises its own
            self._drop_frame(
                queue, "preprocess_error", SourceError("frame", f"cannot be judged ({type(exc).__name__})")
            )
            return False

    def _check_change(self, serving: LoadedEngine, queue: PipelineQueue, frame: Frame) -> bool:
        """Return False, and count it, where nothing has changed since the last frame that the model saw."""
        if frame.answer is not None or serving.steps[queue.pipeline.name].change.passes(frame):
            return True
        queue.counters.dropped("unchanged")
        return False

    def _report_result(self, queue: PipelineQueue, ref: ModelRef, turn: Tick) -> None:
        counts = is_open(queue.pipeline.schedule, turn.taken_at)
        verdict = queue.reporter.judge(turn.result, self._clock.monotonic_ns(), counts=counts)
        queue.counters.inferred(turn.times, reported=verdict.report)
        self._failed_in_a_row = 0
        self._observer.frame_inferred(queue)
        if verdict.report:
            self._observer.result_reported(queue, ref, turn)
        if verdict.settled is not None:
            self._observer.answer_settled(queue, verdict.settled)
