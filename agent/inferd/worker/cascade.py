"""Cascades: passes boxes of one pipeline to second-stage pipelines, and their answers back.

A result that waits for answers does not block the loop: results are reported in order once their answers have come or
their time is over.
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

MOST_HELD = 8  # results that wait with their frames; the oldest is reported as it is
MOST_TRACKS = 256  # tracks whose last answers are kept


class PendingQuestion:
    """The open questions about the boxes of one result. Asked by its own loop; any thread answers."""

    def __init__(self, boxes: Sequence[Box], known: Sequence[dict[str, Label]], changed: Condition) -> None:
        """Ask nothing yet.

        Args:
            boxes: the objects.
            known: answers for each box; tracked objects share theirs with later results.
            changed: guards all of this, and is notified of every answer.
        """
        self._boxes = boxes
        self._known = known
        self._changed = changed
        self._open = 0
        self.wait_s = 0.0

    @property
    def answered(self) -> bool:
        """Whether all questions are answered."""
        return self._open == 0

    def ask(self, pipeline: str, wait_s: float, box: Box) -> Callable[[Result | None], None]:
        """Ask a pipeline about a box; return the function that takes its answer."""
        with self._changed:
            self._open += 1
        self.wait_s = max(self.wait_s, wait_s)
        at = next(index for index, one in enumerate(self._boxes) if one is box)
        return partial(self._record_answer, pipeline, self._known[at])

    def joined(self, result: Result) -> Result:
        """Return the result with the answers so far."""
        with self._changed:
            boxes = tuple(
                replace(box, closer=dict(answers)) if answers else box
                for box, answers in zip(self._boxes, self._known, strict=True)
            )
        return replace(result, boxes=boxes)

    def _record_answer(self, pipeline: str, answers: dict[str, Label], result: Result | None) -> None:
        """Record an answer: a result with or without a label, or None where the crop was dropped."""
        with self._changed:
            self._open -= 1
            if result is not None:
                answers.pop(pipeline, None)
                if (label := best(result)) is not None:
                    answers[pipeline] = label
            self._changed.notify_all()


def best(result: Result) -> Label | None:
    """Return the first label of a result, or the label of its first box."""
    if result.labels:
        return result.labels[0]
    box = result.boxes[0] if result.boxes else None
    return None if box is None else Label(box.id, box.label, box.score)


@dataclass(frozen=True, slots=True)
class PendingResult:
    """A result to be reported, with its task; it waits for answers at most until `until_ns`."""

    seen: ObservedFrame
    task: Task
    question: PendingQuestion | None = None
    until_ns: int = 0

    def is_ready(self, now_ns: int) -> bool:
        """Whether it can be reported."""
        return self.question is None or self.question.answered or now_ns >= self.until_ns

    def joined(self) -> ObservedFrame:
        """Return it with the answers so far."""
        if self.question is None:
            return self.seen
        turn = replace(self.seen.turn, result=self.question.joined(self.seen.turn.result))
        return dataclasses.replace(self.seen, turn=turn)


class ResultQueue:
    """Results of one pipeline in order, until they can be reported. Owned by its loop thread."""

    def __init__(self, changed: Condition) -> None:
        """Begin empty; `changed` is notified of every answer."""
        self._changed = changed
        self._held: deque[PendingResult] = deque()
        self._by_track: dict[int, dict[str, Label]] = {}

    @property
    def empty(self) -> bool:
        """Whether it is empty."""
        return not self._held

    def question(self, boxes: Sequence[Box]) -> PendingQuestion:
        """Return a new question about these boxes, with the known answers of tracked ones."""
        return PendingQuestion(boxes, [self._known_answers(box) for box in boxes], self._changed)

    def put(self, pending: PendingResult) -> None:
        """Append a result."""
        self._held.append(pending)

    def pop_ready(self, now_ns: int) -> Iterator[PendingResult]:
        """Remove and yield the results that are ready at `now_ns`, oldest first."""
        while self._held and (len(self._held) > MOST_HELD or self._held[0].is_ready(now_ns)):
            yield self._held.popleft()

    def due_s(self, now_ns: int) -> float | None:
        """Return the seconds until the oldest is ready, 0 where it is; None where none waits."""
        if not self._held:
            return None
        oldest = self._held[0]
        return 0.0 if oldest.is_ready(now_ns) else (oldest.until_ns - now_ns) / 1e9

    def _known_answers(self, box: Box) -> dict[str, Label]:
        if box.track is None:
            return {}
        answers = self._by_track.pop(box.track, {})
        self._by_track[box.track] = answers  # the newest last
        if len(self._by_track) > MOST_TRACKS:
            del self._by_track[next(iter(self._by_track))]
        return answers


@dataclass(frozen=True, slots=True)
class SecondStage:
    """A second-stage pipeline: its name, its open source and its counters."""

    pipeline: str
    source: Crops
    counters: Counters


class CascadeExchange:
    """Maps pipelines to their second stages. Shared by all threads of the worker."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._followers: dict[str, list[SecondStage]] = {}
        self._ended: set[str] = set()

    def join(self, source: Source, pipeline: str, counters: Counters) -> None:
        """Register a pipeline's opened source; a second stage may come after its first stage ended."""
        with self._lock:
            self._ended.discard(pipeline)
            if isinstance(source, Crops):
                self._followers.setdefault(source.of, []).append(SecondStage(pipeline, source, counters))
                if source.of in self._ended:
                    source.end()

    def offer(self, pipeline: str, frame: Frame, result: Result, outgoing: ResultQueue) -> PendingQuestion | None:
        """Pass the boxes of a result to the second stages.

        Returns:
            The question that the result waits for; None where it need not wait.
        """
        if pipeline not in self._followers or not result.boxes:
            return None
        question: PendingQuestion | None = None
        for one in self._open(pipeline):
            ask = None
            if one.source.join_s > 0:
                question = question or outgoing.question(result.boxes)
                ask = partial(question.ask, one.pipeline, one.source.join_s)
            for _ in range(one.source.put(frame, result.boxes, ask)):
                one.counters.dropped("superseded")
        return question

    def end(self, pipeline: str) -> None:
        """Record that a pipeline's input has ended."""
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
