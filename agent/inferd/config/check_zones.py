"""What types cannot say of zones, lines and schedules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from inferd.config.settings import CropsSource, Pipeline

TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00")
CORNERS_MIN = 3


def wrong_rules(pipeline: Pipeline) -> str:
    """Return what is wrong first, in one sentence without its end; "" where nothing is."""
    return next(_wrong(pipeline), "")


def wrong_cascade(pipelines: Sequence[Pipeline]) -> str:
    """Return what is wrong with who follows whom, in one sentence without its end; "" where nothing is."""
    follows = {one.name: one.source.of for one in pipelines if isinstance(one.source, CropsSource)}
    for name, of in follows.items():
        if of not in {one.name for one in pipelines}:
            return f"pipeline {name!r}: its crops are of {of!r}, but there is no such pipeline"
        seen = {name}
        while of in follows and of not in seen:
            seen.add(of)
            of = follows[of]  # noqa: PLW2901 - the way up, step by step
        if of in seen:
            return f"pipeline {name!r}: its crops come from itself in the end"
    return ""


def _wrong(pipeline: Pipeline) -> Iterator[str]:
    for kind, rules in (("zones", pipeline.zone), ("lines", pipeline.line)):
        called = [rule.name for rule in rules]
        yield from (f"two {kind} are called {name!r}" for name in called if called.count(name) > 1)
    for zone in pipeline.zone:
        if len(zone.points) < CORNERS_MIN:
            yield f"zone {zone.name!r} has {len(zone.points)} points; a polygon has three or more, y, x each"
        yield from _outside(f"zone {zone.name!r}", zone.points)
    for line in pipeline.line:
        if line.start == line.end:
            yield f"line {line.name!r} ends where it starts"
        yield from _outside(f"line {line.name!r}", (line.start, line.end))
    for schedule in pipeline.schedule:
        for time in (schedule.begins, schedule.ends):
            if not TIME.fullmatch(time):
                yield f"schedule: {time!r} is no time such as 07:30"
        if schedule.begins == schedule.ends:
            yield f"schedule: it begins and ends at {schedule.begins}; a whole day is 00:00 to 24:00"


def _outside(part: str, points: tuple[tuple[float, float], ...]) -> Iterator[str]:
    yield from (
        f"{part}: {list(point)} is not y, x from 0 to 1" for point in points if not 0 <= min(point) <= max(point) <= 1
    )
