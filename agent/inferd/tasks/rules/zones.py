"""Who is in a zone, for how long, and who crossed a line. Rules only: told tracks and the time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from inferd.config import settings
from inferd.records import LineCount, ZoneCount
from inferd.tasks.rules.tracker import Corners, Track

Point = tuple[float, float]

MARGIN = (
    0.005  # of the picture: nearer to a line than that is on neither side, or a trembling box would cross it for ever
)


def foot(corners: Corners, anchor: str) -> Point:
    """Return the point of a box that is somewhere: the middle of its lower edge, or its middle."""
    y0, x0, y1, x1 = corners
    return (y1 if anchor == "bottom" else (y0 + y1) / 2), (x0 + x1) / 2


def inside(point: Point, polygon: Sequence[Point]) -> bool:
    """Whether a point lies in a polygon: whether a ray from it crosses the outline an odd number of times."""
    y, x = point
    odd = False
    for (y0, x0), (y1, x1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            odd = not odd
    return odd


class ZoneCounter:
    """One zone of one pipeline. Owned by its loop thread."""

    def __init__(self, rules: settings.ZoneConfig) -> None:
        self._rules = rules
        self._since_ns: dict[int, int] = {}
        self._entered = self._left = 0

    def update(self, tracks: Iterable[Track], now_ns: int) -> ZoneCount:
        """Take where all tracks are; one that is lost has left."""
        here = {
            track.id: track
            for track in tracks
            if _wanted(track, self._rules.labels)
            and inside(foot(track.corners, self._rules.anchor), self._rules.points)
        }
        for gone in set(self._since_ns) - set(here):
            del self._since_ns[gone]
            self._left += 1
        for come in set(here) - set(self._since_ns):
            self._since_ns[come] = now_ns
            self._entered += 1
        longest_ns = max((now_ns - since for since in self._since_ns.values()), default=0)
        labels = dict(sorted(Counter(track.label for track in here.values()).items()))
        return ZoneCount(len(here), labels, self._entered, self._left, round(longest_ns / 1e9, 3))


class LineCounter:
    """One line of one pipeline. Owned by its loop thread."""

    def __init__(self, rules: settings.LineConfig) -> None:
        self._rules = rules
        self._last: dict[int, Point] = {}
        self._in = self._out = 0

    def update(self, tracks: Iterable[Track], now_ns: int) -> LineCount:  # noqa: ARG002 - zones need the time
        """Take where all tracks are, and count those that crossed since they were last clear of the line."""
        here = {
            track.id: foot(track.corners, self._rules.anchor) for track in tracks if _wanted(track, self._rules.labels)
        }
        self._last = {track: point for track, point in self._last.items() if track in here}
        for track, point in here.items():
            side = self._side(point)
            if abs(side) < MARGIN:
                continue
            before = self._last.get(track)
            self._last[track] = point
            if before is None or (self._side(before) > 0) == (side > 0) or not self._meets(before, point):
                continue
            if side > 0:
                self._in += 1
            else:
                self._out += 1
        return LineCount(self._in, self._out)

    def _side(self, point: Point) -> float:
        """Return how far a point is from the endless line, above 0 to the right of someone who walks from `start` to `end`."""
        (y0, x0), (y1, x1) = self._rules.start, self._rules.end
        return ((point[0] - y0) * (x1 - x0) - (point[1] - x0) * (y1 - y0)) / max(math.hypot(y1 - y0, x1 - x0), 1e-9)

    def _meets(self, before: Point, now: Point) -> bool:
        """Whether the way from one point to the other crosses the line between its ends."""
        a, b = self._side(before), self._side(now)
        share = a / (a - b)
        y, x = (old + (new - old) * share for old, new in zip(before, now, strict=True))
        (y0, x0), (y1, x1) = self._rules.start, self._rules.end
        along = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / max((y1 - y0) ** 2 + (x1 - x0) ** 2, 1e-18)
        return 0.0 <= along <= 1.0


def _wanted(track: Track, labels: Sequence[str]) -> bool:
    return not labels or track.label in labels
