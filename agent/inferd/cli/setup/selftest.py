"""`inferd selftest`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from inferd.errors import InferdError
from inferd.selftest.report import SelftestReport, lines
from inferd.selftest.runner import examine_board, wanted_here
from inferd.system.clock import SystemClock
from inferd.system.files.atomic import write_atomic

SECONDS = 300.0
FEWEST_S = 5.0


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(min=FEWEST_S), default=SECONDS, show_default=True, help="About how long to take."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Write FILE.json and FILE.txt; else files here, with the date.",
)
def selftest(seconds: float, output: Path | None, *, as_json: bool) -> None:
    """Measure this board, and write a report that you can send.

    Looks for runtimes, accelerators and meters, times the digits model, loads all cores and watches for throttling; then
    starts an agent of its own in a temporary folder, swaps its model and kills its worker. A service that runs meanwhile
    is not touched, but makes the figures worse. The report names the board, never the device, its network or its configuration.
    Ends with exit code 1 if the model does not run or the agent does not recover.
    """
    clock = SystemClock()
    place = wanted_here(output, clock)
    report = examine_board(seconds, clock, os.environ, lambda what: click.echo(f"... {what}", err=True))
    write(place, report)
    click.echo(encoded(report).decode() if as_json else "\n".join(lines(report)))
    click.echo(f"wrote {place}.json and {place}.txt", err=True)
    sys.exit(0 if report.passed else 1)


def write(place: Path, report: SelftestReport) -> None:
    """Write the report for programs and for people.

    Raises:
        InferdError: it cannot be written there.
    """
    try:
        write_atomic(Path(f"{place}.json"), encoded(report) + b"\n")
        write_atomic(Path(f"{place}.txt"), "".join(f"{line}\n" for line in lines(report)).encode())
    except OSError as exc:
        raise InferdError(str(place), f"cannot be written ({exc.strerror}); name another place with --output") from exc


def encoded(report: SelftestReport) -> bytes:
    """Return the report as JSON text."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)
