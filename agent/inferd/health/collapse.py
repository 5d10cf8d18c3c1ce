"""Whether a model on trial has stopped telling things apart. Pure: what two models said of the same frames in, verdict out.

One and the same answer may be the world's doing (night, a covered camera, an empty street). It is held against a model
only where the one before it was sure of different things in the very same frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from inferd.records import OutputTensor, Result

ENOUGH = 8  # answers, before they mean anything
SURE = 0.8  # score of an answer that counts as sure
OTHERS, OTHERS_LEAST = 0.25, 3  # share and number of frames in which the model before is sure of something else
OTHER_MIX = 0.5  # share of the answers that fell to something else
FLAT = 0.02  # scores that never differ by more are flat
STUCK = 1e-4  # of the largest number: numbers that never differ by more are stuck
MOVES = 0.2  # of the largest number: numbers that differ by so much follow what is shown
NUMBERS = 64  # of a vector that are looked at

Finding = Literal["fine", "alike", "collapsed", "differs"]


@dataclass(frozen=True, slots=True)
class AnswerDigest:
    """An answer in short.

    Attributes:
        what: the labels it names; "" where it names none.
        score: of the label, or of the box it is least sure of.
        numbers: what it says where the task names no labels.
    """

    what: str = ""
    score: float = 0.0
    numbers: tuple[float, ...] = ()


def digest_of(result: Result) -> AnswerDigest:
    """Return a result in short."""
    if result.boxes is not None:
        labels = sorted({box.label for box in result.boxes})
        return AnswerDigest(" and ".join(labels), min((box.score for box in result.boxes), default=0.0))
    if result.labels is not None:
        return AnswerDigest(result.labels[0].label, result.labels[0].score) if result.labels else AnswerDigest()
    if result.mask is not None:
        largest = max(result.mask.labels.items(), key=lambda one: one[1], default=("", 0.0))
        return AnswerDigest(largest[0], largest[1])
    return AnswerDigest(numbers=tuple(_numbers(result))[:NUMBERS])


def suspicious(now: Sequence[AnswerDigest], before: Sequence[AnswerDigest]) -> bool:
    """Whether a model's answers are all one, or other things than the model before used to say."""
    return len(now) >= ENOUGH and (all_one(now) or (len(before) >= ENOUGH and _other_mix(now, before) >= OTHER_MIX))


def compare(now: Sequence[AnswerDigest], before: Sequence[AnswerDigest]) -> tuple[Finding, str]:
    """Return what is held against a model, and the sentence.

    Args:
        now: what it said of some frames.
        before: what the model before it says of the same frames.
    """
    if all_one(now) and (told := _tells_apart(before)):
        return "collapsed", f"it says {_word(now)} of {len(now)} frames in which the model before it tells {told}"
    if _other_mix(now, before) >= OTHER_MIX:
        return (
            "differs",
            f"of {len(now)} frames it says {_mix(now)}, of the same frames the model before it says {_mix(before)}",
        )
    return "alike", ""


def all_one(answers: Sequence[AnswerDigest]) -> bool:
    """Whether all answers are the same: one label, flat scores, or numbers that do not move."""
    if any(answer.numbers for answer in answers):
        return _spread(answers) <= STUCK
    scores = [answer.score for answer in answers]
    return len({answer.what for answer in answers}) == 1 or (max(scores) - min(scores) < FLAT and max(scores) < SURE)


def _tells_apart(answers: Sequence[AnswerDigest]) -> str:
    """Return in words what a model was sure of and told apart; "" where it did not."""
    if any(answer.numbers for answer in answers):
        return "one from the other" if _spread(answers) >= MOVES else ""
    sure = Counter(answer.what for answer in answers if answer.what and answer.score >= SURE).most_common()
    others = sum(times for _, times in sure[1:])
    if others < max(OTHERS_LEAST, OTHERS * len(answers)):
        return ""
    return f"{sure[0][0]} from {' and '.join(what for what, _ in sure[1:3])}"


def _other_mix(now: Sequence[AnswerDigest], before: Sequence[AnswerDigest]) -> float:
    """Return which share (0..1) of the answers fell to something else; 0 where there are no labels."""
    if not now or not before or any(answer.numbers for answer in (*now, *before)):
        return 0.0
    one, other = (Counter(answer.what for answer in answers) for answers in (now, before))
    return sum(abs(one[what] / len(now) - other[what] / len(before)) for what in {*one, *other}) / 2


def _spread(answers: Sequence[AnswerDigest]) -> float:
    """Return how far numbers lie from their mean, at most, as a share of the largest number."""
    rows = [answer.numbers for answer in answers]
    if len({len(row) for row in rows}) != 1:
        return 1.0
    columns = list(zip(*rows, strict=True))
    largest = max((abs(value) for column in columns for value in column), default=0.0)
    widest = max((max(column) - min(column) for column in columns), default=0.0)
    return widest / largest if largest else 0.0


def _mix(answers: Sequence[AnswerDigest]) -> str:
    most = Counter(answer.what for answer in answers).most_common(3)
    return ", ".join(f"{what or 'nothing'} {times} times" for what, times in most)


def _word(answers: Sequence[AnswerDigest]) -> str:
    if any(answer.numbers for answer in answers):
        return "the same numbers"
    return Counter(answer.what for answer in answers).most_common(1)[0][0] or "nothing"


def _numbers(result: Result) -> Iterator[float]:
    """Yield the numbers of a result without labels."""
    for point in result.keypoints or ():
        yield from point
    yield from result.embedding or ()
    if result.score is not None:
        yield result.score
    yield from (value.value for value in result.values or ())
    for output in result.outputs or ():
        yield from _flat(output)


def _flat(output: OutputTensor) -> Iterator[float]:
    """Yield the first numbers of an output, however deep its lists are."""
    left = [output.values]
    given = 0
    while left and given < NUMBERS:
        one = left.pop()
        if isinstance(one, list | tuple):
            left.extend(reversed(one[:NUMBERS]))
        elif isinstance(one, int | float):
            given += 1
            yield float(one)
