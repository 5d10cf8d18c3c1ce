"""`inferd watch`: devices of a broker, live."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import msgspec
from rich.console import Console

from inferd.config import settings
from inferd.config.load import load
from inferd.errors import ConfigError
from inferd.system.clock import SystemClock
from inferd.watch.screen import SMALLEST
from inferd.watch.show import lines
from inferd.watch.show import watch as show

PORTS = {"mqtt": 1883, "mqtts": 8883}
FILE = click.Path(path_type=Path, exists=True)


@click.command()
@click.argument("device", default="")
@click.option(
    "--broker",
    metavar="URL",
    help="Such as mqtt://USER@HOST:1883/PREFIX, mqtts:// with TLS; without it, the configured one.",
)
@click.option("--password-file", type=FILE, help="Holds the password and nothing else.")
@click.option("--ca-file", type=FILE, help="Certificates of those who may vouch for the broker; else the system's.")
@click.option("--cert-file", type=FILE, help="Your certificate, where the broker wants one.")
@click.option("--key-file", type=FILE, help="Its key.")
@click.option("--seal-key-file", type=FILE, help="The key that payloads are sealed with.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Take the broker from this file.")
@click.option("--plain", is_flag=True, help="Write lines, as where there is no terminal.")
@click.option("--seconds", type=click.FloatRange(min=0), help="With --plain: end after so long.")
def watch(
    device: str,
    broker: str | None,
    password_file: Path | None,
    file: Path | None,
    seconds: float | None,
    *,
    plain: bool,
    **files: Path | None,
) -> None:
    """Show the devices of a broker, or one DEVICE: state, speed, latency, temperature, power, model, alerts.

    / filters by words, s sorts by something else, Enter opens a device, Esc goes back, q ends. It only listens.
    """
    mqtt = parse_broker(broker) if broker else load(file, os.environ).config.mqtt
    mqtt = msgspec.structs.replace(mqtt, **{key: str(path) for key, path in files.items() if path is not None})
    secret = password_file or (Path(mqtt.password_file) if mqtt.password_file else None)
    password = _password(secret) if secret else ""
    console = Console()
    fits = console.width >= SMALLEST[0] and console.height >= SMALLEST[1]
    if plain or seconds is not None or not console.is_terminal or console.is_dumb_terminal or not fits:
        lines(mqtt, device, password, click.echo, SystemClock(), seconds)
    else:
        show(mqtt, device, password, console)


def parse_broker(url: str) -> settings.Mqtt:
    """Return the broker of a URL such as mqtt://user@host:1883/prefix.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as exc:
        raise ConfigError("--broker", f"{url!r} is no address: {exc}") from exc
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigError("--broker", f"{url!r} is no address of a broker; write mqtt://HOST:1883/PREFIX")
    if parts.password:
        raise ConfigError("--broker", "a password on a command line can be read by everybody; use --password-file")
    name, tls = unquote(parts.username or ""), parts.scheme == "mqtts"
    said = settings.Mqtt(host=parts.hostname, port=port, username=name, tls=tls)
    prefix = parts.path.strip("/")
    return msgspec.structs.replace(said, prefix=prefix) if prefix else said


def _password(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError("--password-file", f"{file} cannot be read ({exc}); make it a text file") from exc
