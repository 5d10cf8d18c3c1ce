"""`inferd demo`: the first minute."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from inferd.cli.pasteable_commands import program
from inferd.demo.plain_text import DemoNotes
from inferd.demo.run_demo import Demo, DemoDisplay, PlainTextDisplay
from inferd.demo.screen import SMALLEST, DemoScreen
from inferd.system.clock import SystemClock


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0), help="End so many seconds after the first result.")
@click.option("--plain", is_flag=True, help="Write a line a second instead of a full screen.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=1883, show_default=True, help="Port of a broker on this machine."
)
def demo(seconds: float | None, port: int, *, plain: bool) -> None:
    """Show the agent at work: our digits model on our clip.

    Needs no camera, no broker and no configuration. Telemetry goes to the broker on this machine or, if none runs, to one
    of its own until the demo ends; a line on the screen shows how to subscribe to it. Ctrl-C ends everything.
    """
    Demo(port, program(sys.argv[0]), click.echo, lambda notes: face(notes, plain=plain), SystemClock()).run(seconds)


def face(notes: DemoNotes, *, plain: bool) -> DemoDisplay:
    """Return a full screen where there is a terminal that is large enough, else lines."""
    console = Console()
    fits = console.width >= SMALLEST[0] and console.height >= SMALLEST[1]
    if plain or not fits or not console.is_terminal or console.is_dumb_terminal:
        return PlainTextDisplay(click.echo)
    return DemoScreen(console, notes)
