"""`inferd config sample` and `inferd config check`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from inferd.cli import SuggestingGroup
from inferd.config.load import load
from inferd.config.mqtt import SERVICE_CREDENTIALS
from inferd.config.sample import sample as sample_text


@click.group(cls=SuggestingGroup)
def config() -> None:
    """Write a sample configuration, or check one."""


@config.command()
def sample() -> None:
    """Print a commented configuration that shows every key with its default."""
    click.echo(sample_text(), nl=False)


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check FILE, or the configuration that the service would read; name the first mistake."""
    loaded = load(file, {"CREDENTIALS_DIRECTORY": SERVICE_CREDENTIALS, **os.environ})
    files = ", ".join(map(str, loaded.files)) or "no file (the built-in defaults)"
    count = len(loaded.config.pipeline)
    click.echo(f"{files}: right, {count} {'pipeline' if count == 1 else 'pipelines'}")
