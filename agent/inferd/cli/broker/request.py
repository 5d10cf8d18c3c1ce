"""`inferd ask`: a request to a device over its broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from inferd.cli.broker.options import DAY_S, Seconds, broker_options, chosen
from inferd.errors import LinkError
from inferd.system.clock import SystemClock
from inferd.system.files.atomic import write_atomic
from inferd.telemetry.remote.request_client import RequestClient
from inferd.wire.decoding import decode
from inferd.wire.requests import VERBS, Snapshot
from inferd.wire.terminal_text import one_line

TIMEOUT_S = 10.0

_snapshot = msgspec.json.Decoder(Snapshot)
_json: msgspec.json.Decoder[Any] = msgspec.json.Decoder()  # Any: JSON


@click.command()
@click.argument("device")
@click.argument("verb", type=click.Choice(list(VERBS)))
@click.argument("data", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--output", type=click.Path(path_type=Path), help="Write the picture of a snapshot here.")
@click.option(
    "--timeout", type=Seconds(min=0.1, max=DAY_S), default=TIMEOUT_S, show_default=True, help="Seconds to wait."
)
@broker_options
def ask(device: str, verb: str, data: tuple[str, ...], output: Path | None, timeout: float, **broker: Any) -> None:
    """Ask a DEVICE over its broker, and print its answer as JSON. With --seal-key-file what is asked is sealed.

    \b
    inferd ask kitchen ping
    inferd ask kitchen interval interval_s=10
    inferd ask kitchen snapshot pipeline=cam --output cam.jpg
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    mqtt, password = chosen(**broker)
    arguments = _encoded(data)
    with RequestClient(mqtt, device, password, SystemClock()) as client:
        told = client.ask(verb, arguments, timeout)
    if output is None:
        click.echo(one_line(told.decode(errors="replace")))
        return
    try:
        picture = decode(_snapshot, told).jpeg
    except msgspec.MsgspecError as exc:
        raise LinkError(verb, "its answer is no picture; leave out --output") from exc
    write_atomic(output, picture)
    click.echo(f"{output}  {len(picture)} bytes")


def _encoded(data: tuple[str, ...]) -> bytes:
    try:
        return msgspec.json.encode(dict(map(_pair, data)))
    except (UnicodeEncodeError, OverflowError) as exc:
        raise click.UsageError(f"the data cannot be sent as JSON ({exc})") from exc


def _pair(text: str) -> tuple[str, Any]:  # Any: JSON
    """Return a key and its value: a number or the like where it reads as JSON, else text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r} is not KEY=VALUE")
    try:
        return key, decode(_json, value.encode(errors="replace"))
    except msgspec.MsgspecError:
        return key, value
