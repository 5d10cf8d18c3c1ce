"""The same object keeps the same number from frame to frame.

Boxes are matched to where the tracks should be by now, first by overlap, then, for small or fast objects, by nearness; sure
boxes before unsure ones, so that an unsure box can keep a track but not begin one (Zhang and others, "ByteTrack: Multi-Object
Tracking by Associating Every Detection Box", 2021, arXiv:2110.06864). Where a track should be is its last place moved on by its
smoothed speed (docs/adr/0005 says why there is no library and no Kalman filter).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inferd.config import settings
from inferd.records import Box

Corners = tuple[float, float, float, float]

NEAR = 1.0  # of a box's mean side: what is not overlapping, but as near as that, may be the same
MOST_LIKE = 2.5  # times as large or small in area: more is another object, for what is only near
SPEED_SHARE = 0.4  # of the newest speed in the smoothed one
MOST_TRACKS = 200


@dataclass(slots=True)
class Track:
    """One object that is followed.

    Attributes:
        id: 1, 2, 3 ... in the order in which they were confirmed; 0 before.
        label: of its boxes; a box of another label is another object.
        corners: y0, x0, y1, x1 where it was last seen.
        seen_ns: when that was.
        hits: frames in which it was seen.
        speed: of its middle, y and x per second.
    """

    id: int
    label: str
    corners: Corners
    seen_ns: int
    hits: int = 1
    speed: tuple[float, float] = (0.0, 0.0)

    def at(self, now_ns: int) -> Corners:
        """Return where it should be by now."""
        elapsed_s = (now_ns - self.seen_ns) / 1e9
        dy, dx = (speed * elapsed_s for speed in self.speed)
        y0, x0, y1, x1 = self.corners
        return y0 + dy, x0 + dx, y1 + dy, x1 + dx

    def see(self, corners: Corners, now_ns: int) -> None:
        """Take it that the object was seen there."""
        elapsed_s = max((now_ns - self.seen_ns) / 1e9, 1e-3)
        moved = [(new - old) / elapsed_s for new, old in zip(middle(corners), middle(self.corners), strict=True)]
        share = SPEED_SHARE if self.hits > 1 else 1.0  # the first speed that is known is all of it
        y, x = (old + (new - old) * share for old, new in zip(self.speed, moved, strict=True))
        self.speed, self.corners, self.seen_ns, self.hits = (y, x), corners, now_ns, self.hits + 1


class Tracker:
    """Follows the boxes of one pipeline. Owned by its loop thread; told the time."""

    def __init__(self, rules: settings.TrackConfig) -> None:
        """Begin without tracks."""
        self._rules = rules
        self._tracks: list[Track] = []
        self._next_id = 1

    @property
    def confirmed(self) -> list[Track]:
        """The objects that are there, seen in this frame or lost for less than `lost_s`."""
        return [track for track in self._tracks if track.id]

    def follow(self, boxes: Sequence[Box], now_ns: int) -> list[int]:
        """Match the boxes of one frame; return the track's id of each, 0 where it is not (yet) followed."""
        self._tracks = [track for track in self._tracks if now_ns - track.seen_ns <= self._patience_ns(track)]
        free = list(self._tracks)
        found = [0] * len(boxes)
        sure = [at for at, box in enumerate(boxes) if box.score >= self._rules.start_score]
        unsure = [at for at, box in enumerate(boxes) if box.score < self._rules.start_score]
        for candidates in (sure, unsure):
            for at, track in _pairs(candidates, boxes, free, self._rules.overlap, now_ns):
                track.see(boxes[at].box, now_ns)
                self._confirm(track)
                found[at] = track.id
                free.remove(track)
                candidates.remove(at)
        for at in sure[: MOST_TRACKS - len(self._tracks)]:
            self._tracks.append(Track(0, boxes[at].label, boxes[at].box, now_ns))
            self._confirm(self._tracks[-1])
            found[at] = self._tracks[-1].id
        return found

    def _patience_ns(self, track: Track) -> float:
        """Return how long a track may be unseen: one that is not confirmed less, for it may be a false alarm."""
        return self._rules.lost_s * (1e9 if track.id else 0.5e9)

    def _confirm(self, track: Track) -> None:
        if not track.id and track.hits >= self._rules.confirm:
            track.id, self._next_id = self._next_id, self._next_id + 1


def _pairs(
    candidates: Iterable[int], boxes: Sequence[Box], tracks: Iterable[Track], least_overlap: float, now_ns: int
) -> list[tuple[int, Track]]:
    """Return boxes and the tracks they belong to, each at most once, the best match first."""
    places = [(track, track.at(now_ns)) for track in tracks]
    matches = [
        (fit, at, track)
        for at in candidates
        for track, place in places
        if track.label == boxes[at].label and (fit := likeness(boxes[at].box, place, least_overlap)) > 0
    ]
    matches.sort(key=lambda match: match[0], reverse=True)
    taken_boxes: set[int] = set()
    taken_tracks: set[int] = set()
    pairs = []
    for _, at, track in matches:
        if at not in taken_boxes and id(track) not in taken_tracks:
            taken_boxes.add(at)
            taken_tracks.add(id(track))
            pairs.append((at, track))
    return pairs


def likeness(box: Corners, place: Corners, least_overlap: float) -> float:
    """Return how likely two boxes show one object: 1 + overlap where they overlap enough, below 1 where only near, 0 else."""
    overlap = iou(box, place)
    if overlap >= least_overlap:
        return 1.0 + overlap
    sizes = [max((y1 - y0) * (x1 - x0), 1e-9) for y0, x0, y1, x1 in (box, place)]
    if max(sizes) > MOST_LIKE * min(sizes):
        return 0.0
    (y, x), (other_y, other_x) = middle(box), middle(place)
    reach = NEAR * math.sqrt(math.sqrt(sizes[0] * sizes[1]))  # of the mean side
    return max(0.0, 1.0 - math.hypot(y - other_y, x - other_x) / reach)


def iou(one: Corners, other: Corners) -> float:
    """Return the intersection over the union of two boxes y0, x0, y1, x1."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    areas = sum((y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in (one, other))
    return height * width / (areas - height * width)


def middle(corners: Corners) -> tuple[float, float]:
    """Return y and x of a box's middle."""
    y0, x0, y1, x1 = corners
    return (y0 + y1) / 2, (x0 + x1) / 2
