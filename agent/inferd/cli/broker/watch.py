"""`inferd watch`: devices of a broker, live."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from inferd.cli.broker.options import Seconds, broker_options, chosen
from inferd.errors import LinkError
from inferd.system.clock import SystemClock
from inferd.watch.screen import SMALLEST
from inferd.watch.show import lines
from inferd.watch.show import watch as show
from inferd.wire.topics import is_device_id


@click.command()
@click.argument("device", default="")
@broker_options
@click.option("--plain", is_flag=True, help="Write lines instead of a full screen.")
@click.option("--seconds", type=Seconds(min=0), help="With --plain: end after so many seconds.")
def watch(device: str, seconds: float | None, *, plain: bool, **broker: Any) -> None:  # Any: as `chosen` takes them
    """Show the devices of a broker, or one DEVICE: state, speed, latency, temperature, power, model, alerts.

    / filters by words, s changes the sort order, Enter opens a device, Esc goes back, q quits. It only subscribes.
    """
    if device and not is_device_id(device):
        raise LinkError(repr(device), "is no device id: letters, digits, - and _, at most 64")
    mqtt, password = chosen(**broker)
    console = Console(markup=False, emoji=False, highlight=False)  # what devices publish is text, never markup
    fits = console.width >= SMALLEST[0] and console.height >= SMALLEST[1]
    if plain or seconds is not None or not console.is_terminal or console.is_dumb_terminal or not fits:
        lines(mqtt, device, password, click.echo, SystemClock(), seconds)
    else:
        show(mqtt, device, password, console)
