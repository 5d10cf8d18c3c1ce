"""`inferd version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click
import msgspec

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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(*, as_json: bool) -> None:
    """Show the versions of inferd and of the packages that it uses."""
    if as_json:
        packages = {name: _installed(name) or None for name in DISTRIBUTIONS}
        told = {"inferd": __version__, "python": platform.python_version(), "machine": platform.machine(), **packages}
        click.echo(msgspec.json.encode(told).decode())
        return
    click.echo(f"inferd {__version__}")
    click.echo(f"python {platform.python_version()} on {platform.machine()}, {platform.system()} {platform.release()}")
    for name in DISTRIBUTIONS:
        click.echo(f"{name} {_installed(name) or 'not installed'}")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
