"""Shows the model before what the one on trial was shown, where that one's answers look suspicious. In the worker.

Frames come out of memory and stay there. The model before is loaded beside the one that serves, run over them by the
worker's main thread, a turn at a time between its other duties, and let go.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice

from inferd import ipc
from inferd.errors import InferdError
from inferd.health.collapse import ENOUGH, AnswerDigest, compare, said, suspicious
from inferd.pipeline import PipelineQueue, build_steps, tick
from inferd.plugins import ENGINES, Engine, find
from inferd.records import Frame
from inferd.system.clock import Clock

LONGEST_NS = 5_000_000_000  # that a replay takes, once the model before is loaded
MOST_NS = 30_000_000_000  # where that one is so slow that it has given too few answers by then
TIMED = 100  # turns, for a p95
PAUSE_S = 0.005  # between two turns, as between two frames: with warm caches all in a row would tell nothing; who turns keeps it
REMEMBERS = "what they say depends on frames that were not kept"
SUSPICION = "its answers were all one in its trial, or others than those before"
Heard = tuple[AnswerDigest, int]  # what the model before says of a frame, and what that took, nanoseconds
Replaying = Generator[None, None, ipc.ShadowReplayDone]


@dataclass(frozen=True, slots=True)
class ShadowFrame:
    """A frame of a pipeline, and what the model on trial said of it."""

    pipeline: str
    frame: Frame
    said: AnswerDigest


@dataclass(frozen=True, slots=True)
class ShadowReplayRequest:
    """What control wants settled: by running the model at `path`, for which there is memory if it `fits`.

    `remembers`: whether the answers of one of both depend on the frames before, of which only a few are kept.
    """

    question: ipc.ShadowReplay
    path: str
    fits: bool
    remembers: bool = False


def settle(asked: ShadowReplayRequest, lanes: Mapping[str, PipelineQueue], clock: Clock) -> Replaying:
    """Return what is held against the model on trial, a turn at a time; `lanes` by pipeline have its answers and frames.

    Closing it lets go of the model before.
    """
    question = asked.question
    recent = [lane.recent for lane in lanes.values() if lane.recent.digest == question.digest]
    lately = summed_up([took for one in recent for took in one.took_ns])
    told = partial(ipc.ShadowReplayDone, question.engine_key, question.digest, now=lately)
    now = [turn.answer for one in recent for turn in one.turns]
    looks_bad = suspicious(now, [answer for one in recent for answer in one.before])
    if not looks_bad and not question.always:
        return told(found="fine")
    shown = _shown(lanes)
    before, why = list[Heard](), _hindrance(asked, shown)
    if not why:
        before, why = yield from _run(asked, shown, lanes, clock)
    told = partial(told, before=summed_up([took for _, took in before]))
    if why := why or (REMEMBERS if asked.remembers else ""):
        return told(found="unknown", why=f"{SUSPICION}; {why}") if looks_bad else told(found="fine")
    found, why = compare([one.said for one in shown][: len(before)], [answer for answer, _ in before[: len(shown)]])
    return told(found=found, why=why)


def summed_up(took_ns: list[int]) -> ipc.TurnTimes | None:
    """Return how long turns took; None where there are none."""
    if not took_ns:
        return None
    in_order = sorted(took_ns)
    median_ms, p95_ms = (in_order[round(share * (len(in_order) - 1))] / 1e6 for share in (0.5, 0.95))
    return ipc.TurnTimes(median_ms, p95_ms)


def _shown(lanes: Mapping[str, PipelineQueue]) -> list[ShadowFrame]:
    return [
        ShadowFrame(name, turn.frame, turn.answer)
        for name, lane in lanes.items()
        for turn in lane.recent.turns
        if turn.frame is not None
    ]


def _hindrance(asked: ShadowReplayRequest, shown: list[ShadowFrame]) -> str:
    """Return why nothing is shown to the model before; "" where it is."""
    if asked.remembers and not asked.question.always:
        return REMEMBERS
    if len(shown) < ENOUGH:
        return "no frames were kept to show the model before (replay_mb under [models])"
    if asked.question.description is None:
        return "the model before cannot be run beside it"
    return "" if asked.fits else "there is no memory to load the model before"


def _run(
    asked: ShadowReplayRequest, shown: list[ShadowFrame], lanes: Mapping[str, PipelineQueue], clock: Clock
) -> Generator[None, None, tuple[list[Heard], str]]:
    """Return what the model before says of each frame, then again until it is timed; and why that is not enough, or ""."""
    description, options = asked.question.description, asked.question.engine
    assert description is not None  # noqa: S101 - or there is a hindrance
    make = find("engine", ENGINES, options.kind)
    heard: list[Heard] = []
    try:
        engine: Engine = make(asked.path, options, clock, description.ref.name)
        with closing(engine):
            steps = {name: build_steps(description, engine, lane.pipeline.roi) for name, lane in lanes.items()}
            began_ns = clock.monotonic_ns()
            for number, one in enumerate(islice(cycle(shown), max(TIMED, len(shown)))):
                frame = replace(one.frame, seq=number)  # a gap would have it forget, which takes time
                turn = tick(frame, steps[one.pipeline], clock.monotonic_ns)
                heard.append((said(turn.result), turn.times.total))
                if clock.monotonic_ns() - began_ns > (LONGEST_NS if len(heard) >= ENOUGH else MOST_NS):
                    break
                yield
    except InferdError as exc:
        return [], f"the model before fails: {exc.message}"
    few = f"the model before gave only {len(heard)} answers in {MOST_NS / 1e9:.0f} s"
    return heard, "" if len(heard) >= ENOUGH else few
