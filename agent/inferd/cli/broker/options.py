"""Which broker a command means: the options that say so, and the configured one where none does."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import msgspec

from inferd.config import settings
from inferd.config.load import load
from inferd.errors import ConfigError
from inferd.system.files.password import read_password
from inferd.wire.topics import check_prefix

DAY_S = 86_400.0
PORTS = {"mqtt": 1883, "mqtts": 8883}
FILE = click.Path(path_type=Path, exists=True)
OPTIONS = (
    click.option(
        "--broker",
        "url",
        metavar="URL",
        help="Such as mqtt://USER@HOST:1883/PREFIX, mqtts:// with TLS; without it, the configured one.",
    ),
    click.option("--password-file", type=FILE, help="A file that holds the password and nothing else."),
    click.option(
        "--ca-file", type=FILE, help="Certificates of the authorities that may sign the broker's; else the system's."
    ),
    click.option("--cert-file", type=FILE, help="The client certificate, if the broker requires one."),
    click.option("--key-file", type=FILE, help="The key of the client certificate."),
    click.option("--seal-key-file", type=FILE, help="The key that payloads are encrypted with."),
    click.option("--config", "file", type=click.Path(path_type=Path), help="Take the broker from this file."),
)


class Seconds(click.FloatRange):
    """A number of seconds; click's own range lets "nan" pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # Any: click's
        """Return the number."""
        seconds: float = super().convert(value, param, ctx)
        if not isfinite(seconds):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return seconds


def broker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a broker; `chosen` takes them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def chosen(
    url: str | None,
    file: Path | None,
    password_file: Path | None,
    **files: Any,  # Any: each a Path or None
) -> tuple[settings.Mqtt, str]:
    """Return the broker that is meant, and the password for it; "" for none.

    Raises:
        ConfigError: the URL, the configuration or the password cannot be read.
    """
    mqtt = parse_broker(url) if url else load(file, os.environ).config.mqtt
    mqtt = msgspec.structs.replace(mqtt, **{key: str(path) for key, path in files.items() if path is not None})
    secret = password_file or (Path(mqtt.password_file) if mqtt.password_file else None)
    return mqtt, _password(secret) if secret else ""


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
    return msgspec.structs.replace(said, prefix=check_prefix(prefix)) if prefix else said


def _password(file: Path) -> str:
    try:
        password = read_password(file)
    except (OSError, ValueError) as exc:
        raise ConfigError("--password-file", f"{file} cannot be read ({exc}); make it a text file") from exc
    if password.hint:
        click.echo(f"inferd: {file}: {password.hint}", err=True)
    return password.text
