"""Crops of another pipeline's boxes: the second stage of a cascade."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from inferd.config import settings
from inferd.errors import EndOfInput, FrameUnfinished, SourceError
from inferd.records import Box, Frame, Result
from inferd.system.clock import Clock
from inferd.system.threads import Condition

MOST_WAITING = 8  # crops; the oldest makes room
LAST_FRAME_NS = 2_000_000_000  # after the first stage ended, its last frame may still be in its model
SMALLEST_PX = 4  # least side of a crop

Ask = Callable[[Box], Callable[[Result | None], None]]


class Crops:
    """Returns the crops of another pipeline's boxes one by one; that pipeline's threads call `put` and `end`."""

    live = True

    def __init__(self, options: settings.CropsSource, clock: Clock) -> None:
        """Begin empty.

        Args:
            options: which boxes, and their margin.
            clock: times repeated looks at a track.
        """
        self.of = options.of
        self.join_s = options.join_s
        self._options = options
        self._clock = clock
        self._changed = Condition()
        self._waiting: deque[Frame] = deque()
        self._looked_ns: dict[int, int] = {}
        self._ended_ns = 0
        self.closed = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next crop.

        Raises:
            FrameUnfinished: no box in time, which is no fault.
            EndOfInput: the other pipeline's input has ended.
            SourceError: it is closed.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._waiting or self.closed, timeout_s) and not self.closed:
                return self._waiting.popleft()
        if self.closed:
            raise SourceError(self.of, "its crops are closed")
        if self._ended_ns and self._clock.monotonic_ns() - self._ended_ns >= LAST_FRAME_NS:
            raise EndOfInput(self.of, "its input has ended")
        raise FrameUnfinished(self.of, f"{self.of} has found no box to look at")

    def put(self, frame: Frame, boxes: Sequence[Box], ask: Ask | None = None) -> int:
        """Queue crops of the boxes of a frame, best first.

        Args:
            frame: the first stage's frame.
            boxes: its boxes.
            ask: called for each crop; returns the function that takes its result. None where no answer is needed.

        Returns:
            The number of older crops that were dropped.
        """
        crops = [crop for box in self._wanted(boxes) if (crop := cut(frame, box, self._options.margin)) is not None]
        if ask is not None:
            crops = [replace(crop, answer=ask(crop.crop)) for crop in crops if crop.crop is not None]
        with self._changed:
            self._waiting.extend(crops)
            lost = [self._waiting.popleft() for _ in range(len(self._waiting) - MOST_WAITING)]
            self._changed.notify_all()
        for crop in lost:
            if crop.answer is not None:
                crop.answer(None)
        return len(lost)

    def end(self) -> None:
        """Record that no more crops will come."""
        self._ended_ns = self._clock.monotonic_ns()

    def close(self) -> None:
        """Wake the reader. Idempotent."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _wanted(self, boxes: Sequence[Box]) -> list[Box]:
        rules, now_ns = self._options, self._clock.monotonic_ns()
        every_ns = round(rules.every_s * 1e9)
        self._looked_ns = {track: at for track, at in self._looked_ns.items() if now_ns - at < every_ns}
        wanted: list[Box] = []
        for box in boxes:
            if (
                len(wanted) == rules.most
                or (rules.labels and box.label not in rules.labels)
                or box.score < rules.min_score
            ):
                continue
            if box.track is not None and every_ns:
                if box.track in self._looked_ns:
                    continue
                self._looked_ns[box.track] = now_ns
            wanted.append(box)
        return wanted


def cut(frame: Frame, box: Box, margin: float) -> Frame | None:
    """Return the part of a frame inside a box, with a margin as a share of its sides; None where there is no picture."""
    if isinstance(frame.data, Mapping) or frame.data.dtype != "uint8":
        return None
    height, width = frame.data.shape[:2]
    y0, x0, y1, x1 = box.box
    dy, dx = (y1 - y0) * margin, (x1 - x0) * margin
    top, bottom = max(0, round((y0 - dy) * height)), min(height, round((y1 + dy) * height))
    left, right = max(0, round((x0 - dx) * width)), min(width, round((x1 + dx) * width))
    if bottom - top < SMALLEST_PX or right - left < SMALLEST_PX:
        return None
    return replace(
        frame, data=frame.data[top:bottom, left:right].copy(), capture_ns=0, crop=box
    )  # a view would hold all of it
