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
    """Say whether FILE (or the configuration the service would read) is right."""
    loaded = load(file, {"CREDENTIALS_DIRECTORY": SERVICE_CREDENTIALS, **os.environ})
    files = ", ".join(map(str, loaded.files)) or "no file (the built-in defaults)"
    click.echo(f"{files}: right, {len(loaded.config.pipeline)} pipelines")
