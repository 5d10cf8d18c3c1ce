"""What a pipeline's model answered lately, spread evenly over its time; with the frames, while it is on trial.

Frames are copies, thinned until all of them fit the room that they may take. They are never written anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, sqrt

from inferd.health.collapse import AnswerDigest, digest_of
from inferd.records import Frame, ModelRef, Tick

KEPT = 32  # answers at most; then every second goes, and they are taken half as often
EVERY_NS = 100_000_000
TIMED = 25  # turns whose time is known
PICTURE = 2  # dimensions, at least


@dataclass(frozen=True, slots=True)
class AnsweredFrame:
    """What was said of a frame; the frame itself where it is kept."""

    answer: AnswerDigest
    frame: Frame | None


@dataclass(frozen=True, slots=True)
class TrialBudget:
    """Which model is on trial, and what its frames may take."""

    digest: str = ""
    room_bytes: int = 0


@dataclass(slots=True)
class RecentAnswers:
    """Filled by one loop thread; others read, and tell it of a trial. What is read never changes: it is replaced.

    Attributes:
        trial: whose frames are kept.
        digest: of the model that answers.
        turns: what it answered, oldest first.
        before: what the model before it had answered.
        took_ns: what its last turns took.
    """

    trial: TrialBudget = field(default_factory=TrialBudget)
    digest: str = ""
    turns: tuple[AnsweredFrame, ...] = ()
    before: tuple[AnswerDigest, ...] = ()
    took_ns: tuple[int, ...] = ()
    _every_ns: int = EVERY_NS
    _next_ns: int = 0

    def take(self, frame: Frame, turn: Tick, ref: ModelRef) -> None:
        """Take a result; all but a few are only timed, which costs less than a microsecond."""
        if ref.digest != self.digest:
            self._begin(ref.digest)
        self.took_ns = (*self.took_ns[1 - TIMED :], turn.times.total)
        now_ns = frame.taken_ns + turn.times.frame_age
        if now_ns < self._next_ns:
            return
        room_bytes = self.trial.room_bytes // KEPT if self.trial.digest == ref.digest else 0
        turns = (*self.turns, AnsweredFrame(digest_of(turn.result), thinned(frame, room_bytes)))
        if len(turns) >= KEPT:
            turns, self._every_ns = turns[::2], self._every_ns * 2
        self.turns, self._next_ns = turns, now_ns + self._every_ns

    def watch(self, digest: str, room_bytes: int) -> None:
        """Keep frames of the model of this digest, in so much memory; 0 keeps none. Any thread."""
        self.trial = TrialBudget(digest, room_bytes)

    def forget_frames(self) -> None:
        """Let go of all frames: the trial is over. Any thread; a frame that is being taken just now may stay."""
        self.trial = TrialBudget()
        self.turns = tuple(replace(turn, frame=None) for turn in self.turns)

    def _begin(self, digest: str) -> None:
        self.digest, self.before, self.turns = digest, tuple(turn.answer for turn in self.turns), ()
        self.took_ns = ()
        self._every_ns, self._next_ns = EVERY_NS, 0


def thinned(frame: Frame, room_bytes: int) -> Frame | None:
    """Return a copy of a frame with as many of a picture's pixels left out as it takes to fit; None where it cannot."""
    data = frame.data
    if room_bytes <= 0:
        return None
    if isinstance(data, Mapping):
        fits = sum(array.nbytes for array in data.values()) <= room_bytes
        return replace(frame, data={name: array.copy() for name, array in data.items()}) if fits else None
    if data.dtype != "uint8" or data.ndim < PICTURE:
        return replace(frame, data=data.copy()) if data.nbytes <= room_bytes else None
    step = max(1, ceil(sqrt(data.nbytes / room_bytes)))
    return replace(frame, data=data[::step, ::step].copy())
