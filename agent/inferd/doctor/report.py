"""Writes a report for people: worst first, a room at a time, and what mends it on a line of its own to copy."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import click

from inferd.doctor.check import SEVERITIES, DoctorReport, Finding, Severity, Unchecked

COLORS: dict[Severity, str] = {"error": "red", "warning": "yellow", "note": "cyan"}
WIDTH_MAX = 110
INDENT = 11
LABEL_INDENT = 4


def lines(report: DoctorReport) -> Iterator[str]:
    """Yield the report line by line, in colours that click takes out where nobody sees them."""
    yield f"inferd {report.inferd} on {report.machine}; judged for user {report.user}"
    yield from (f"fixed    {sentence}" for sentence in report.fixed)
    for room, findings in groupby(_by_room(report.findings), key=lambda one: one.room):
        yield ""
        yield click.style(room, bold=True)
        for finding in findings:
            yield from _finding(finding)
    if report.unchecked:
        yield ""
        yield click.style("not checked", bold=True)
        yield from _unchecked(report.unchecked)
    yield ""
    yield _summary(report)


def _by_room(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings a room at a time: the room with the worst one first, and the worst first in each."""
    rooms = list(dict.fromkeys(finding.room for finding in findings))
    return sorted(findings, key=lambda one: rooms.index(one.room))


def _finding(finding: Finding) -> Iterator[str]:
    label = click.style(f"{finding.severity:<7}", fg=COLORS[finding.severity], bold=True)
    first, *more = _wrap(finding.what[:1].upper() + finding.what[1:])
    yield f"  {label}  {first}"
    yield from (f"{'':{INDENT}}{line}" for line in more)
    yield from _labelled("where", _wrap(finding.where))
    yield from _labelled("why", _wrap(finding.why))
    yield from _labelled("mend", [click.style(finding.mend, fg="green")])  # never wrapped: it is there to be copied


def _labelled(label: str, text: list[str]) -> Iterator[str]:
    for number, line in enumerate(text):
        head = f"{label:<{INDENT - LABEL_INDENT}}" if number == 0 else " " * (INDENT - LABEL_INDENT)
        yield f"{'':{LABEL_INDENT}}{head}{line}"


def _unchecked(unchecked: Iterable[Unchecked]) -> Iterator[str]:
    """Yield the checks that were not made, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for one in unchecked:
        reasons.setdefault(one.why, []).append(one.id)
    for why, ids in reasons.items():
        yield from (f"  {line}" for line in _wrap(f"{', '.join(ids)}: {why}"))


def _wrap(text: str) -> list[str]:
    width = min(WIDTH_MAX, shutil.get_terminal_size().columns) - INDENT
    return textwrap.wrap(text, max(30, width), break_on_hyphens=False, break_long_words=False) or [""]


def _summary(report: DoctorReport) -> str:
    """Return the last line: "all well" only where everything could be looked at and no more than a note was found."""
    made = f"{report.checks - len(report.unchecked)} checks in {report.took_ms / 1000:.1f} s"
    counts = [(kind, sum(one.severity == kind for one in report.findings)) for kind in SEVERITIES]
    told = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts if count]
    if report.unchecked:
        told.append(f"{len(report.unchecked)} not checked")
    if report.unchecked or any(one.severity != "note" for one in report.findings):
        return f"{made}: {', '.join(told)}"
    well = click.style("all well", fg="green", bold=True)
    return f"{made}, {well}{f' ({told[0]})' if told else ''}"
