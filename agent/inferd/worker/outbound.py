"""Messages from the worker to control: results may be lost when control is slow, all else waits until there is room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from inferd import ipc
from inferd.pipeline import PipelineQueue
from inferd.plugins import Engine
from inferd.records import LabelSummary, ModelRef, PipelineState, Tick
from inferd.system.processes.channel import Channel
from inferd.system.threads import Lock
from inferd.worker.loaded_engine import LoadedEngine

ToControl = Channel[ipc.ToWorker, ipc.FromWorker]
GOOD_AGAIN = 20  # so many frames in a row must give a result before a degraded pipeline is called running

Subject = tuple[str, ...]
"""A message's kind and its pipeline or engine key. Control needs only the newest of a subject."""


class Outbound:
    """Sends messages to control. Any thread may call it; it never waits."""

    def __init__(self, to_control: ToControl) -> None:
        self._to_control = to_control
        self._lock = Lock()
        self._waiting: dict[Subject, ipc.FromWorker] = {}
        self.lost = 0

    def send_result(self, message: ipc.ResultReported) -> None:
        """Send a result, or drop and count it where control is too slow."""
        self.lost += not self._to_control.offer(message)

    def send(self, subject: Subject, message: ipc.FromWorker) -> None:
        """Send a message that must arrive: without room it waits until a newer one of its subject replaces it."""
        with self._lock:
            self._waiting.pop(subject, None)
            self._waiting[subject] = message
        self.retry()

    def retry(self) -> None:
        """Send waiting messages, oldest first, while there is room."""
        with self._lock:
            while self._waiting:
                subject = next(iter(self._waiting))
                if not self._to_control.offer(self._waiting[subject]):
                    return
                del self._waiting[subject]

    def waits(self, subject: Subject) -> bool:
        """Whether a message of this subject still waits."""
        return subject in self._waiting


class StatusReporter:
    """Combines the states of a pipeline's source and engine into one, and sends it to control when it changes."""

    # The first that applies is the pipeline's state.
    ORDER: tuple[PipelineState, ...] = ("failed", "ended", "waiting", "degraded", "running")

    def __init__(self, name: str, outbound: Outbound) -> None:
        self._name = name
        self._outbound = outbound
        self._lock = Lock()
        self._parts: dict[str, tuple[PipelineState, str]] = {
            "source": ("waiting", "its source is being opened"),
            "engine": ("waiting", "its model is being loaded"),
        }
        self._sent: tuple[PipelineState, str] | None = None
        self._faults: set[str] = set()

    def set_source(self, state: PipelineState, why: str) -> None:
        """Set the source's state."""
        self._set("source", state, why)

    def set_engine(self, state: PipelineState, why: str) -> None:
        """Set the engine's state."""
        self._set("engine", state, why)

    def set_silent(self) -> None:
        """Mark a running source as silent."""
        if self._parts["source"][0] == "running":
            self._set("source", "waiting", "its source gives nothing")

    def report_fault(self, kind: str, why: str) -> None:
        """Send a fault the first time its kind occurs; after that only counters grow."""
        if kind not in self._faults:
            self._faults.add(kind)
            self._outbound.send(("fault", self._name, kind), ipc.PipelineFault(self._name, kind, why))

    def _set(self, part: str, state: PipelineState, why: str) -> None:
        if self._parts[part] == (state, why):
            return
        with self._lock:
            self._parts[part] = (state, why)
            told = min(self._parts.values(), key=lambda said: self.ORDER.index(said[0]))
            if told != self._sent:
                self._sent = told
                self._outbound.send(("status", self._name), ipc.Status(self._name, *told))


class LoopOutbound:
    """Sends the events of one loop to control. Called on the loop's thread."""

    def __init__(self, key: str, statuses: Mapping[str, StatusReporter], outbound: Outbound) -> None:
        self._key = key
        self._statuses = statuses
        self._outbound = outbound
        self._good_left: Counter[str] = Counter()
        self._degraded = ""
        self._made_room = False
        self.retired: list[Engine] = []

    def set_statuses(self, statuses: Mapping[str, StatusReporter]) -> None:
        """Replace the pipelines that it reports for. Called on the main thread."""
        self._statuses = statuses

    def engine_taken(self, serving: LoadedEngine, old: LoadedEngine | None, pause_ms: float) -> None:
        """Report that a new engine serves; keep the old one for the main thread to close (closing holds the GIL)."""
        info = serving.engine.info
        self._degraded = serving.degraded
        swapped, self._made_room = old is not None or self._made_room, False
        taken = ipc.OfferTaken(self._key, serving.ref, info, swapped, pause_ms, degraded=serving.degraded)
        self._outbound.send(("taken", self._key), taken)
        if old is not None:
            self.retired += old.engines

    def engine_released(self, old: LoadedEngine) -> None:
        """Report that no engine serves for a moment, because there is no memory for two models."""
        self._made_room = True
        for status in self._statuses.values():
            status.set_engine("waiting", "its model is being changed, and there is no memory for two at a time")
        self.retired += old.engines

    def fell_back(self, old: LoadedEngine, fallback: LoadedEngine | None, why: str) -> None:
        """Report that an accelerator failed and whether a fallback serves."""
        self._outbound.send(("fell back", self._key), ipc.FellBack(self._key, why, fallback is not None))
        self.retired += old.own
        if fallback is not None:
            self.engine_taken(fallback, None, 0.0)
        for status in self._statuses.values():
            status.set_engine("degraded" if fallback else "failed", why)

    def result_reported(self, queue: PipelineQueue, ref: ModelRef, turn: Tick) -> None:
        """Send a result."""
        self._outbound.send_result(ipc.ResultReported(queue.pipeline.name, ref, turn))

    def answer_settled(self, queue: PipelineQueue, answer: LabelSummary) -> None:
        """Send a changed answer."""
        self._outbound.send(("settled", queue.pipeline.name), ipc.Settled(queue.pipeline.name, answer))

    def frame_inferred(self, queue: PipelineQueue) -> None:
        """Report recovery once enough frames became results."""
        name = queue.pipeline.name
        if self._good_left[name]:
            self._good_left[name] -= 1
        elif (status := self._statuses.get(name)) is not None:
            status.set_engine("degraded" if self._degraded else "running", self._degraded)

    def frame_failed(self, queue: PipelineQueue, kind: str, why: str) -> None:
        """Report a frame without a result."""
        name = queue.pipeline.name
        self._good_left[name] = GOOD_AGAIN
        if (status := self._statuses.get(name)) is not None:  # its pipeline may have left meanwhile
            status.set_engine("degraded", why)
            status.report_fault(kind, why)
