"""`inferd version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from inferd import __version__

DISTRIBUTIONS = (
    "ai-edge-litert",
    "tflite-runtime",
    "numpy",
    "opencv-python-headless",
    "paho-mqtt",
    "msgspec",
    "psutil",
)


@click.command()
def version() -> None:
    """Show the versions of inferd and of what it stands on."""
    click.echo(f"inferd {__version__}")
    click.echo(f"python {platform.python_version()} on {platform.machine()}, {platform.system()} {platform.release()}")
    for name in DISTRIBUTIONS:
        click.echo(f"{name} {_installed(name)}")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
