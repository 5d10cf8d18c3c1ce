"""`inferd config sample` and `inferd config check`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from inferd.cli import BAD_CONFIG, SuggestingGroup
from inferd.config.load import load
from inferd.config.mqtt import SERVICE_CREDENTIALS
from inferd.config.sample import sample as sample_text
from inferd.errors import ConfigError


@click.group(cls=SuggestingGroup)
def config() -> None:
    """Write a sample configuration, or check one."""


@config.command()
def sample() -> None:
    """Print a commented configuration that shows every key with its default."""
    click.echo(sample_text(), nl=False)


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(file: Path | None, *, as_json: bool) -> None:
    """Check FILE, or the configuration that the service would read; name the first mistake."""
    try:
        loaded = load(file, {"CREDENTIALS_DIRECTORY": SERVICE_CREDENTIALS, **os.environ})
    except ConfigError as exc:
        if not as_json:
            raise
        click.echo(msgspec.json.encode({"right": False, "part": exc.part, "why": exc.message}).decode())
        sys.exit(BAD_CONFIG)
    if as_json:
        names = [one.name for one in loaded.config.pipeline]
        click.echo(
            msgspec.json.encode(
                {"right": True, "files": [str(one) for one in loaded.files], "pipelines": names}
            ).decode()
        )
        return
    files = ", ".join(map(str, loaded.files)) or "no file (the built-in defaults)"
    count = len(loaded.config.pipeline)
    click.echo(f"{files}: right, {count} {'pipeline' if count == 1 else 'pipelines'}")
