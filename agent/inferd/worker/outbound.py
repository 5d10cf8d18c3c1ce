"""How the worker is heard by control: results may be lost when control is slow, everything else waits until there is room."""

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
"""What a message is about: its kind, and the pipeline or engine key. The newest of a subject is all that control needs."""


class Outbound:
    """The worker's way to control. Any thread may speak; none of them ever waits."""

    def __init__(self, to_control: ToControl) -> None:
        self._to_control = to_control
        self._lock = Lock()
        self._waiting: dict[Subject, ipc.FromWorker] = {}
        self.lost = 0

    def result(self, message: ipc.ResultReported) -> None:
        """Send a result, or lose and count it where control is too slow."""
        self.lost += not self._to_control.offer(message)

    def tell(self, subject: Subject, message: ipc.FromWorker) -> None:
        """Send what must arrive: where there is no room it waits, until something newer of its subject replaces it."""
        with self._lock:
            self._waiting.pop(subject, None)
            self._waiting[subject] = message
        self.retry()

    def retry(self) -> None:
        """Send what waits, oldest first, as far as there is room."""
        with self._lock:
            while self._waiting:
                subject = next(iter(self._waiting))
                if not self._to_control.offer(self._waiting[subject]):
                    return
                del self._waiting[subject]

    def waits(self, subject: Subject) -> bool:
        """Whether something of this subject has not been sent yet."""
        return subject in self._waiting


class PipelineOutbound:
    """Puts what a pipeline's source and engine say together into one state, and tells control when that changes."""

    # The first that applies is the pipeline's state.
    ORDER: tuple[PipelineState, ...] = ("failed", "ended", "waiting", "degraded", "running")

    def __init__(self, name: str, teller: Outbound) -> None:
        self._name = name
        self._teller = teller
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
            self._teller.tell(("fault", self._name, kind), ipc.PipelineFault(self._name, kind, why))

    def _say(self, part: str, state: PipelineState, why: str) -> None:
        if self._said[part] == (state, why):
            return
        with self._lock:
            self._said[part] = (state, why)
            told = min(self._said.values(), key=lambda said: self.ORDER.index(said[0]))
            if told != self._told:
                self._told = told
                self._teller.tell(("status", self._name), ipc.Status(self._name, *told))


class LoopOutbound:
    """What the loop of one group does, as messages to control. Called on the loop's thread."""

    def __init__(self, key: str, voices: Mapping[str, PipelineOutbound], teller: Outbound) -> None:
        self._key = key
        self._voices = voices
        self._teller = teller
        self._good_left: Counter[str] = Counter()
        self._degraded = ""
        self._made_room = False
        self.retired: list[Engine] = []

    def follow(self, voices: Mapping[str, PipelineOutbound]) -> None:
        """Take that there are other pipelines; whoever has those that went speaks for them. Called on the main thread."""
        self._voices = voices

    def taken(self, serving: LoadedEngine, old: LoadedEngine | None, pause_ms: float) -> None:
        """Tell that a new engine serves; keep the old one for the main thread to close (closing holds the GIL)."""
        info = serving.engine.info
        self._degraded = serving.degraded
        swapped, self._made_room = old is not None or self._made_room, False
        taken = ipc.OfferTaken(self._key, serving.ref, info, swapped, pause_ms, degraded=serving.degraded)
        self._teller.tell(("taken", self._key), taken)
        if old is not None:
            self.retired += old.engines

    def left(self, old: LoadedEngine) -> None:
        """Tell that nothing serves for a moment, because there is no memory for two models."""
        self._made_room = True
        for voice in self._voices.values():
            voice.engine("waiting", "its model is being changed, and there is no memory for two at a time")
        self.retired += old.engines

    def fell_back(self, old: LoadedEngine, twin: LoadedEngine | None, why: str) -> None:
        """Tell that an accelerator failed and what serves instead."""
        self._teller.tell(("fell back", self._key), ipc.FellBack(self._key, why, twin is not None))
        self.retired += old.own
        if twin is not None:
            self.taken(twin, None, 0.0)
        for voice in self._voices.values():
            voice.engine("degraded" if twin else "failed", why)

    def reported(self, lane: PipelineQueue, ref: ModelRef, turn: Tick) -> None:
        """Send a result."""
        self._teller.result(ipc.ResultReported(lane.pipeline.name, ref, turn))

    def settled(self, lane: PipelineQueue, answer: LabelSummary) -> None:
        """Send a changed answer."""
        self._teller.tell(("settled", lane.pipeline.name), ipc.Settled(lane.pipeline.name, answer))

    def running(self, lane: PipelineQueue) -> None:
        """Say that frames become results again, once enough of them did."""
        name = lane.pipeline.name
        if self._good_left[name]:
            self._good_left[name] -= 1
        elif (voice := self._voices.get(name)) is not None:
            voice.engine("degraded" if self._degraded else "running", self._degraded)

    def fault(self, lane: PipelineQueue, kind: str, why: str) -> None:
        """Say that a frame gave no result."""
        name = lane.pipeline.name
        self._good_left[name] = GOOD_AGAIN
        if (voice := self._voices.get(name)) is not None:  # not where its pipeline left while the frame was under way
            voice.engine("degraded", why)
            voice.fault(kind, why)
