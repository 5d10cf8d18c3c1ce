"""What another pipeline found, cut out of its frames: the second half of a cascade."""

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
LAST_FRAME_NS = 2_000_000_000  # after the other pipeline's source ended, its last frame is still in its model
SMALLEST_PX = 4  # a side of a crop; less shows nothing

Ask = Callable[[Box], Callable[[Result | None], None]]


class Crops:
    """Gives the objects of another pipeline one by one. `give` and `end` belong to that pipeline's threads."""

    live = True

    def __init__(self, options: settings.CropsSource, clock: Clock) -> None:
        """Wait for what is given.

        Args:
            options: which objects, and with how much around them.
            clock: tells when an object was looked at last.
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
        """Return the next object, cut out of its frame.

        Raises:
            FrameUnfinished: nothing was found in time, which is no fault.
            EndOfInput: the other pipeline's input is through.
            SourceError: it is closed.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._waiting or self.closed, timeout_s) and not self.closed:
                return self._waiting.popleft()
        if self.closed:
            raise SourceError(self.of, "its crops are closed")
        if self._ended_ns and self._clock.monotonic_ns() - self._ended_ns >= LAST_FRAME_NS:
            raise EndOfInput(self.of, "its input is through")
        raise FrameUnfinished(self.of, f"{self.of} has found nothing to look at closer")

    def give(self, frame: Frame, boxes: Sequence[Box], ask: Ask | None = None) -> int:
        """Take what was found in a frame, the best first.

        Args:
            frame: the whole of it.
            boxes: what was found in it.
            ask: called for each object that is taken; gives who waits for what is seen in it. None where nobody does.

        Returns:
            How many older crops had to make room.
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
        """Take it that no more will come."""
        self._ended_ns = self._clock.monotonic_ns()

    def close(self) -> None:
        """Let a reader go. Twice is fine."""
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
    """Return the part of a frame that a box shows, with a margin of so much of its sides; None where there is no picture."""
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
