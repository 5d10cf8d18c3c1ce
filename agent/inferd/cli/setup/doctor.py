"""`inferd doctor`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from inferd.cli.pasteable_commands import as_called
from inferd.doctor.check import DoctorReport
from inferd.doctor.fixes import fix_all
from inferd.doctor.readers.world import World, look_around
from inferd.doctor.registry import CHECKS
from inferd.doctor.report import lines
from inferd.doctor.runner import examine
from inferd.system.clock import SystemClock

WITHIN_S = 2.0
OWN_S = 0.4  # our own start and end, which count as well for who waits


@click.command()
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="Read this file instead of /etc/inferd/inferd.toml."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--fix", "fixes", is_flag=True, help="Fix what is safe to fix, and list what was done.")
@click.option(
    "--within", "within_s", default=WITHIN_S, show_default=True, metavar="SECONDS", help="Longest time to take."
)
def doctor(file: Path | None, *, as_json: bool, fixes: bool, within_s: float) -> None:
    """Find out what is wrong with this device and how to fix it.

    Looks at configuration, runtime, models, sources, accelerator, broker, disk, power and system, and changes nothing
    without --fix. Works before anything is installed or configured. Ends with exit code 1 where something is broken.
    """
    world = around(file, within_s)
    report = examine(world, CHECKS)
    if fixes and (done := fix_all(world, report.findings)):
        again = examine(around(file, within_s), CHECKS)
        report = msgspec.structs.replace(again, fixed=done)
    show(report, as_json=as_json)
    sys.exit(0 if report.healthy else 1)


def around(file: Path | None, within_s: float) -> World:
    """Return this machine as the checks see it, to be examined within so much time."""
    return look_around(file, os.environ, SystemClock(), max(0.5, within_s - OWN_S))


def show(report: DoctorReport, *, as_json: bool) -> None:
    """Print a report, for a program or for people."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        click.echo(as_called("\n".join(lines(report))))
