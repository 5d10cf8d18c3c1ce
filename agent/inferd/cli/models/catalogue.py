"""`inferd models get` and `inferd models list`: models that can be fetched, and those that were."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from inferd.catalogue.deliver import place
from inferd.catalogue.download import Progress, fetch_from_web
from inferd.catalogue.entries import CatalogueEntry, entries, find_entry
from inferd.catalogue.pip import fetch_from_index
from inferd.cli.pasteable_commands import as_called
from inferd.config.load import load, state_dir
from inferd.foreign_text import printable

SHA256_DIGITS = 64
LISTED = ("name", "about", "licence", "home", "size_bytes", "takes", "needs")


@click.command()
@click.argument("what", metavar="NAME|URL")
@click.option("--sha256", default="", help="What the model at an https address must have.")
@click.option("--name", default="", help="What it is called in the drop folder.")
@click.option("--into", type=click.Path(path_type=Path), help="The drop folder, if another than the configured one.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The configuration that the agent runs with.")
def get(what: str, sha256: str, name: str, into: Path | None, file: Path | None) -> None:
    """Fetch a model of the catalogue by its NAME, or any other by its https URL and SHA-256, into the drop folder.

    \b
    inferd models list --catalogue
    inferd models get faces
    inferd models get https://example.org/door.tflite --sha256 2f1b...
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    folder = into or drop_folder(file)
    if "://" in what:
        target, kind = _from_web(what, sha256.lower(), name, folder), "INPUT"
    else:
        entry = find_entry(what)
        click.echo(f"{entry.source}, {entry.size_bytes / 1e6:.1f} MB, {entry.licence}, {entry.home}", err=True)
        content = (
            _download(entry.url, entry.sha256, folder)
            if entry.url
            else fetch_from_index(entry, shows=sys.stderr.isatty())
        )
        target, kind = place(folder, name or entry.name, content, _headed(entry)), entry.takes
        if entry.needs and importlib.util.find_spec(entry.needs.replace("-", "_")) is None:
            click.echo(f"it needs one more package: {sys.executable} -m pip install {entry.needs}", err=True)
    named = shlex.quote(target.name if into is None else str(target))
    click.echo(as_called(f"{target}  try it: inferd infer {named} {kind}"))


@click.command("list")
@click.option("--catalogue", is_flag=True, help="List what `inferd models get` can fetch.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The configuration that the agent runs with.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_models(file: Path | None, *, catalogue: bool, as_json: bool) -> None:
    """List the models in the drop folder, or with --catalogue those that can be fetched."""
    if catalogue and as_json:
        shown = [{key: getattr(entry, key) for key in LISTED} for entry in entries()]
        click.echo(msgspec.json.encode(shown).decode())
        return
    if catalogue:
        for entry in entries():
            click.echo(f"{entry.name:<20} {entry.size_bytes / 1e6:5.1f} MB  {entry.licence:<11} {entry.about}")
        click.echo(as_called("\nfetch one: inferd models get NAME"))
        return
    folder = drop_folder(file)
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    if as_json:
        click.echo(msgspec.json.encode([printable(name) for name in found]).decode())
        return
    empty = as_called(f"{folder} is empty; `inferd models list --catalogue` shows what can be fetched")
    click.echo("\n".join(map(printable, found)) or empty)


def drop_folder(file: Path | None) -> Path:
    """Return the drop folder of a configuration."""
    config = load(file, os.environ).config
    return Path(config.models.folder) if config.models.folder else state_dir(config, os.environ) / "models"


def _from_web(url: str, sha256: str, name: str, folder: Path) -> Path:
    if len(sha256) != SHA256_DIGITS or not set(sha256) <= set("0123456789abcdef"):
        raise click.UsageError("an https address needs --sha256 and the 64 hexadecimal digits of the model's digest")
    return place(folder, name or Path(urlsplit(url).path).stem, _download(url, sha256, folder), "")


def _download(url: str, sha256: str, folder: Path) -> bytes:
    """Return a checked model from the web; what came of it before an interruption is kept beside the drop folder."""
    with _bar() as progress:
        return fetch_from_web(url, sha256, folder.parent / f".inferd-get-{sha256}.part", progress)


def _headed(entry: CatalogueEntry) -> str:
    """Return the manifest with where the model comes from on top."""
    return f"# {entry.source}, {entry.licence}, {entry.home}\n{entry.manifest.lstrip()}"


@contextmanager
def _bar() -> Iterator[Progress]:
    """Give what draws a progress bar on a terminal, and nothing elsewhere."""
    with click.progressbar(length=1, file=sys.stderr, label="fetching") as bar:

        def progress(have: int, total: int | None) -> None:
            bar.length = max(total or have, 1)
            bar.update(have - bar.pos)

        yield progress
