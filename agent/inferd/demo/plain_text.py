"""The demo in plain words: one line a second, and the closing summary. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferd.demo.view import DemoView
from inferd.histogram import HistogramData, quantile

PERCENTILES = (0.50, 0.95, 0.99)
UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class DemoNotes:
    """What stays the same during a demo.

    Attributes:
        broker: what takes the telemetry, or why nothing does.
        watch: the line that shows the telemetry in another terminal; "" without a broker.
        program: how `inferd` is called here.
        model: the demo's model, as a path.
    """

    broker: str
    watch: str
    program: str
    model: str


def opening(notes: DemoNotes) -> list[str]:
    """Return what is said before the first result."""
    lines = [
        "inferd demo: the real agent reads handwritten digits from a clip; Ctrl-C ends it",
        f"broker: {notes.broker}",
    ]
    return [*lines, f"watch it in another terminal: {notes.watch}"] if notes.watch else lines


def line(view: DemoView, running_s: float) -> str:
    """Return the present in one line."""
    digit = view.digit
    if digit is None:
        return f"{clock(running_s)} no result yet{'; ' + view.news if view.news else ''}"
    verdict = "right" if digit.right else "WRONG"
    parts = [
        f"{clock(running_s)} frame {digit.frame}: read {digit.guess or 'nothing'}, written {digit.truth}, {verdict}",
        f"{view.right} of {view.seen} right ({share(view)})",
        f"{number(view.fps, 1)} fps",
        "total ms p50 {} p95 {} p99 {}".format(*percentiles(view.latency.get("total"))),
        f"dropped {drops(view.dropped)}",
        *(f"{name} {cost(figures)}" for name, figures in view.processes.items()),
    ]
    return " | ".join([*parts, view.news] if view.news else parts)


def summary(view: DemoView, notes: DemoNotes) -> list[str]:
    """Return the summary, and how to go on."""
    lines = (
        [f"{view.right} of {view.seen} digits read right ({share(view)})."] if view.seen else ["No result was seen."]
    )
    if told := view.latency.get("total"):
        p50, p95, p99 = percentiles(told)
        lines.append(
            f"From frame to answer: {p50} ms p50, {p95} ms p95, {p99} ms p99; frames dropped: {drops(view.dropped)}."
        )
    return [
        *lines,
        "",
        f"Your own picture   {notes.program} infer MODEL PICTURE",
        f"Your own camera    {notes.program} models get faces && {notes.program} infer faces /dev/video0",
        f"What a model is    {notes.program} models show MODEL",
        f"The service        {notes.program} init inferd.toml",
        f"                   {notes.program} run --config inferd.toml --print",
        f"A MODEL to try     {notes.model}",
    ]


def clock(running_s: float) -> str:
    """Return minutes and seconds."""
    return f"{int(running_s) // 60:02d}:{int(running_s) % 60:02d}"


def share(view: DemoView) -> str:
    """Return the accuracy so far."""
    return f"{100 * view.right / view.seen:.1f} %" if view.seen else UNKNOWN


def number(value: float | None, digits: int) -> str:
    """Return a figure; a dash where there is none."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def percentiles(data: HistogramData | None) -> tuple[str, str, str]:
    """Return p50, p95 and p99 in ms, with three significant digits."""
    p50, p95, p99 = (quantile(data, q) if data else None for q in PERCENTILES)
    return _ms(p50), _ms(p95), _ms(p99)


def drops(dropped: Mapping[str, int] | None) -> str:
    """Return how many frames were dropped, and why."""
    if dropped is None:
        return UNKNOWN
    causes = [f"{cause.replace('_', ' ')} {count}" for cause, count in dropped.items() if count]
    return ", ".join(causes) or "0"


def cost(figures: Mapping[str, float | None]) -> str:
    """Return what a process uses."""
    return f"{number(figures.get('cpu_pct'), 1)} % cpu {number(figures.get('rss_mb'), 0)} MB"


def _ms(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"  # noqa: PLR2004 - digits
