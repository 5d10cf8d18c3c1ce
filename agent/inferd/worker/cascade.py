"""Hands what one pipeline found to the pipelines that look closer, and what they saw back. In the worker, between its loops.

A result whose objects are looked at closer waits outside of the loop's turn: the loop goes on, and tells its results in
their order once their answers are there, or their time is over.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from inferd.pipeline import Counters, ObservedFrame
from inferd.plugins import Source, Task
from inferd.records import Box, Frame, Label, Result
from inferd.sources.crops import Crops
from inferd.system.threads import Condition, Lock

MOST_HELD = 8  # results that wait with their frames; the oldest leaves as it is
MOST_TRACKS = 256  # followed objects whose last answers are remembered


class PendingQuestion:
    """What is to be heard of the objects of one result. Asked by its own loop; any thread answers."""

    def __init__(self, boxes: Sequence[Box], sights: Sequence[dict[str, Label]], changed: Condition) -> None:
        """Ask nothing yet.

        Args:
            boxes: the objects.
            sights: what is known of each; followed objects share theirs with later results.
            changed: guards all of this, and is notified of every answer.
        """
        self._boxes = boxes
        self._sights = sights
        self._changed = changed
        self._open = 0
        self.wait_s = 0.0

    @property
    def answered(self) -> bool:
        """Whether all that was asked was answered."""
        return self._open == 0

    def ask(self, pipeline: str, wait_s: float, box: Box) -> Callable[[Result | None], None]:
        """Have a pipeline look at an object within `wait_s`; return whom it is to tell."""
        with self._changed:
            self._open += 1
        self.wait_s = max(self.wait_s, wait_s)
        at = next(index for index, one in enumerate(self._boxes) if one is box)
        return partial(self._hear, pipeline, self._sights[at])

    def joined(self, result: Result) -> Result:
        """Return the result with what is known of each object by now."""
        with self._changed:
            boxes = tuple(
                replace(box, closer=dict(sight)) if sight else box
                for box, sight in zip(self._boxes, self._sights, strict=True)
            )
        return replace(result, boxes=boxes)

    def _hear(self, pipeline: str, sight: dict[str, Label], result: Result | None) -> None:
        """Take an answer: a label, that there is none, or (None) that nobody looked."""
        with self._changed:
            self._open -= 1
            if result is not None:
                sight.pop(pipeline, None)
                if (label := best(result)) is not None:
                    sight[pipeline] = label
            self._changed.notify_all()


def best(result: Result) -> Label | None:
    """Return what a result says in a word: its first label, or the one of its first box."""
    if result.labels:
        return result.labels[0]
    box = result.boxes[0] if result.boxes else None
    return None if box is None else Label(box.id, box.label, box.score)


@dataclass(frozen=True, slots=True)
class PendingResult:
    """A result on its way out, with the task that read it; where it waits for answers, at most until `until_ns`."""

    seen: ObservedFrame
    task: Task
    question: PendingQuestion | None = None
    until_ns: int = 0

    def is_ready(self, now_ns: int) -> bool:
        """Whether nothing is left to wait for."""
        return self.question is None or self.question.answered or now_ns >= self.until_ns

    def joined(self) -> ObservedFrame:
        """Return it with what is known of its objects by now."""
        if self.question is None:
            return self.seen
        turn = replace(self.seen.turn, result=self.question.joined(self.seen.turn.result))
        return dataclasses.replace(self.seen, turn=turn)


class ResultQueue:
    """The results of one pipeline in their order, until they may leave. Owned by its loop thread."""

    def __init__(self, changed: Condition) -> None:
        """Hold nothing; `changed` is notified when an answer comes."""
        self._changed = changed
        self._held: deque[PendingResult] = deque()
        self._of_track: dict[int, dict[str, Label]] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._held

    def question(self, boxes: Sequence[Box]) -> PendingQuestion:
        """Return a new question about these objects; what is known of followed ones is known."""
        return PendingQuestion(boxes, [self._sight(box) for box in boxes], self._changed)

    def put(self, held: PendingResult) -> None:
        """Take a result; it is the last to leave."""
        self._held.append(held)

    def leaving(self, now_ns: int) -> Iterator[PendingResult]:
        """Yield the results that leave at `now_ns`, oldest first, and let go of them."""
        while self._held and (len(self._held) > MOST_HELD or self._held[0].is_ready(now_ns)):
            yield self._held.popleft()

    def due_s(self, now_ns: int) -> float | None:
        """Return in how long the oldest leaves even without its answers, 0 where it has them; None where nothing waits."""
        if not self._held:
            return None
        oldest = self._held[0]
        return 0.0 if oldest.is_ready(now_ns) else (oldest.until_ns - now_ns) / 1e9

    def _sight(self, box: Box) -> dict[str, Label]:
        if box.track is None:
            return {}
        sight = self._of_track.pop(box.track, {})
        self._of_track[box.track] = sight  # the newest last
        if len(self._of_track) > MOST_TRACKS:
            del self._of_track[next(iter(self._of_track))]
        return sight


@dataclass(frozen=True, slots=True)
class SecondStage:
    """A pipeline that looks closer: its name, its source as it is open now, and what it counted."""

    pipeline: str
    source: Crops
    counters: Counters


class CascadeExchange:
    """Knows which sources follow which pipeline. Shared by all threads of the worker."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._followers: dict[str, list[SecondStage]] = {}
        self._ended: set[str] = set()

    def join(self, source: Source, pipeline: str, counters: Counters) -> None:
        """Take a source that was opened for a pipeline; one that follows another may come after that has ended."""
        with self._lock:
            self._ended.discard(pipeline)
            if isinstance(source, Crops):
                self._followers.setdefault(source.of, []).append(SecondStage(pipeline, source, counters))
                if source.of in self._ended:
                    source.end()

    def give(self, pipeline: str, frame: Frame, result: Result, outgoing: ResultQueue) -> PendingQuestion | None:
        """Hand on what a pipeline found in a frame; where nobody follows it, that costs one look.

        Returns:
            What the result is to wait for; None where it is to wait for nothing.
        """
        if pipeline not in self._followers or not result.boxes:
            return None
        question: PendingQuestion | None = None
        for one in self._open(pipeline):
            ask = None
            if one.source.join_s > 0:
                question = question or outgoing.question(result.boxes)
                ask = partial(question.ask, one.pipeline, one.source.join_s)
            for _ in range(one.source.give(frame, result.boxes, ask)):
                one.counters.dropped("superseded")
        return question

    def end(self, pipeline: str) -> None:
        """Take it that a pipeline's input is through."""
        with self._lock:
            self._ended.add(pipeline)
        for one in self._open(pipeline):
            one.source.end()

    def _open(self, pipeline: str) -> list[SecondStage]:
        with self._lock:
            left = [one for one in self._followers.get(pipeline, ()) if not one.source.closed]
            if left:
                self._followers[pipeline] = left
            else:
                self._followers.pop(pipeline, None)
            return left
