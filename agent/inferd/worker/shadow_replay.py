"""Runs the previous model on a trial's frames where the new model's answers look suspicious.

Frames stay in memory. The worker's main thread loads the previous model beside the serving one, runs it one step at a time
between its other duties, and releases it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice

from inferd import ipc
from inferd.errors import InferdError
from inferd.health.collapse import ENOUGH, AnswerDigest, compare, digest_of, suspicious
from inferd.pipeline import PipelineQueue, build_steps, tick
from inferd.plugins import ENGINES, Engine, find
from inferd.records import Frame
from inferd.system.clock import Clock

LONGEST_NS = 5_000_000_000  # of a replay, once the previous model is loaded
MOST_NS = 30_000_000_000  # where it has given too few answers by then
TIMED = 100  # turns, for a p95
PAUSE_S = 0.005  # between two turns, as between two frames: warm caches would falsify the times; the caller keeps it
REMEMBERS = "their answers depend on frames that were not kept"
SUSPICION = "its answers in the trial were constant or differ from earlier ones"
Heard = tuple[AnswerDigest, int]  # answer of the previous model and its time, ns
Replaying = Generator[None, None, ipc.ShadowReplayDone]


@dataclass(frozen=True, slots=True)
class ShadowFrame:
    """A frame of a pipeline and the trial model's answer."""

    pipeline: str
    frame: Frame
    said: AnswerDigest


@dataclass(frozen=True, slots=True)
class ShadowReplayRequest:
    """Control's request to run the model at `path`; `fits`: whether memory suffices.

    `remembers`: whether answers of either model depend on earlier frames, of which only a few are kept.
    """

    question: ipc.ShadowReplay
    path: str
    fits: bool
    remembers: bool = False


def settle(asked: ShadowReplayRequest, queues: Mapping[str, PipelineQueue], clock: Clock) -> Replaying:
    """Return the finding on the trial model, one step at a time; `queues` hold its answers and frames.

    Closing the generator releases the previous model.
    """
    question = asked.question
    recent = [queue.recent for queue in queues.values() if queue.recent.digest == question.digest]
    lately = summed_up([took for one in recent for took in one.took_ns])
    told = partial(ipc.ShadowReplayDone, question.engine_key, question.digest, now=lately)
    now = [turn.answer for one in recent for turn in one.turns]
    looks_bad = suspicious(now, [answer for one in recent for answer in one.before])
    if not looks_bad and not question.always:
        return told(found="fine")
    shown = _shown(queues)
    before, why = list[Heard](), _hindrance(asked, shown)
    if not why:
        before, why = yield from _run(asked, shown, queues, clock)
    told = partial(told, before=summed_up([took for _, took in before]))
    if why := why or (REMEMBERS if asked.remembers else ""):
        return told(found="unknown", why=f"{SUSPICION}; {why}") if looks_bad else told(found="fine")
    found, why = compare([one.said for one in shown][: len(before)], [answer for answer, _ in before[: len(shown)]])
    return told(found=found, why=why)


def summed_up(took_ns: list[int]) -> ipc.TurnTimes | None:
    """Return median and p95 of turns; None where there are none."""
    if not took_ns:
        return None
    in_order = sorted(took_ns)
    median_ms, p95_ms = (in_order[round(share * (len(in_order) - 1))] / 1e6 for share in (0.5, 0.95))
    return ipc.TurnTimes(median_ms, p95_ms)


def _shown(queues: Mapping[str, PipelineQueue]) -> list[ShadowFrame]:
    return [
        ShadowFrame(name, turn.frame, turn.answer)
        for name, queue in queues.items()
        for turn in queue.recent.turns
        if turn.frame is not None
    ]


def _hindrance(asked: ShadowReplayRequest, shown: list[ShadowFrame]) -> str:
    """Return why the previous model cannot be run; "" where it can."""
    if asked.remembers and not asked.question.always:
        return REMEMBERS
    if len(shown) < ENOUGH:
        return "no frames were kept for the previous model (replay_mb under [models])"
    if asked.question.description is None:
        return "the previous model cannot be run beside it"
    return "" if asked.fits else "no memory to load the previous model"


def _run(
    asked: ShadowReplayRequest, shown: list[ShadowFrame], queues: Mapping[str, PipelineQueue], clock: Clock
) -> Generator[None, None, tuple[list[Heard], str]]:
    """Return the previous model's answer for each frame, repeated until it is timed; and why that is not enough, or ""."""
    description, options = asked.question.description, asked.question.engine
    assert description is not None  # noqa: S101 - or there is a hindrance
    make = find("engine", ENGINES, options.kind)
    heard: list[Heard] = []
    try:
        engine: Engine = make(asked.path, options, clock, description.ref.name)
        with closing(engine):
            steps = {name: build_steps(description, engine, queue.pipeline.roi) for name, queue in queues.items()}
            began_ns = clock.monotonic_ns()
            for number, one in enumerate(islice(cycle(shown), max(TIMED, len(shown)))):
                frame = replace(one.frame, seq=number)  # a gap would reset its state, which takes time
                turn = tick(frame, steps[one.pipeline], clock.monotonic_ns)
                heard.append((digest_of(turn.result), turn.times.total))
                if clock.monotonic_ns() - began_ns > (LONGEST_NS if len(heard) >= ENOUGH else MOST_NS):
                    break
                yield
    except InferdError as exc:
        return [], f"the previous model fails: {exc.message}"
    few = f"the previous model gave only {len(heard)} answers in {MOST_NS / 1e9:.0f} s"
    return heard, "" if len(heard) >= ENOUGH else few
