"""When the next frame of a recording is due. Pure."""

from __future__ import annotations

import math

from inferd.config import settings
from inferd.records import Frame

FALLBACK_FPS = 10.0  # for "recorded" frames without a position, such as the samples of an .npz
CATCH_UP_NS = 500_000_000


class Pacer:
    """Computes how long each frame of one source must wait. Owned by the source's thread.

    The first frame is due at once, later ones at the intervals of the recording (or the fixed rate). A reader that is late
    by up to half a second catches up; a later one moves the schedule, so that no burst of old frames follows. A recording
    that restarts, or whose positions jump back, continues one frame interval after its last frame.
    """

    def __init__(self, pace: settings.Pace, *, live: bool, fallback_fps: float = FALLBACK_FPS) -> None:
        """Prepare; the schedule starts with the first frame.

        Args:
            pace: recorded, fixed or fast.
            live: whether the source is live; its frames are never delayed.
            fallback_fps: for recorded frames that have no position.
        """
        self._never = live or pace.mode == "fast"
        self._recorded = pace.mode == "recorded"
        fps = fallback_fps if self._recorded or not pace.fps > 0 else pace.fps
        self._interval_s = 1 / fps
        self._due_ns: int | None = None
        self._position_s: float | None = None

    def delay_ns(self, frame: Frame, now_ns: int) -> int:
        """Return how many nanoseconds from `now_ns` the frame is due; 0 where it is due or late."""
        if self._never:
            return 0
        step_s = self._step_s(frame)
        due_ns = now_ns if self._due_ns is None else self._due_ns + round(step_s * 1e9)
        if now_ns - due_ns > CATCH_UP_NS:
            due_ns = now_ns
        self._due_ns = due_ns
        return max(0, due_ns - now_ns)

    def _step_s(self, frame: Frame) -> float:
        """Return how long after the frame before it this one comes, in seconds."""
        if not self._recorded:
            return self._interval_s
        before, self._position_s = self._position_s, frame.position_s
        if before is None or frame.position_s is None:
            return self._interval_s
        step_s = frame.position_s - before
        if not (math.isfinite(step_s) and step_s > 0):
            return self._interval_s
        self._interval_s = step_s
        return step_s
