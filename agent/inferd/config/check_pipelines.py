"""Checks of a pipeline that types cannot express."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from inferd.config.settings import CropsSource, Pipeline, StreamSource


def wrong_pipeline(pipeline: Pipeline) -> str:
    """Return the first fault, as a sentence without its end; "" if there is none."""
    return next(_wrong(pipeline), "")


def wrong_cascade(pipelines: Sequence[Pipeline]) -> str:
    """Return the first fault in which pipeline takes crops of which; "" if there is none."""
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


def wrong_url(url: str) -> Iterator[str]:
    """Yield why an address names no host and port; never the address itself, which may hold a password."""
    try:
        parts = urlsplit(url)
        if not parts.hostname and parts.scheme != "file":
            yield "source.url names no host; write such as rtsp://HOST/PATH"
        elif parts.port == 0:
            yield "source.url has port 0; it must lie between 1 and 65,535"
    except ValueError:  # its text may quote the password
        yield (
            "source.url cannot be read as an address; in a user name or password / is written %2F, @ %40 and : %3A,"
            " or use username and password_file"
        )


def _wrong(pipeline: Pipeline) -> Iterator[str]:
    for kind, rules in (("zones", pipeline.zone), ("lines", pipeline.line)):
        called = [rule.name for rule in rules]
        yield from (f"two {kind} are called {name!r}" for name in called if called.count(name) > 1)
    y0, x0, y1, x1 = pipeline.roi
    if y0 >= y1 or x0 >= x1:
        yield "roi is y0, x0, y1, x1 with y0 < y1 and x0 < x1"
    if pipeline.report.hold > pipeline.report.window:
        yield f"report.hold is {pipeline.report.hold}, more than report.window, which is {pipeline.report.window}"
    if isinstance(pipeline.source, StreamSource):
        yield from wrong_url(pipeline.source.url)
    for line in pipeline.line:
        if line.start == line.end:
            yield f"line {line.name!r} ends where it starts"
    for schedule in pipeline.schedule:
        if schedule.begins == schedule.ends:
            yield f"schedule: it begins and ends at {schedule.begins}; a whole day is 00:00 to 24:00"
