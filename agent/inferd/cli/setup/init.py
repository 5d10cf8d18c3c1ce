"""`inferd init`: a first configuration from what is found."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import click

from inferd.cli.pasteable_commands import as_called
from inferd.cli.setup.doctor import WITHIN_S, around
from inferd.doctor.draft_config import draft, look, told
from inferd.errors import InferdError
from inferd.install.layout import starting_config
from inferd.system.files.atomic import make_folder, write_atomic

SYSTEM_FILE = Path("/etc/inferd/inferd.toml")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=SYSTEM_FILE)
@click.option("--force", is_flag=True, help="Replace a file that is there; it is kept as FILE.old.")
@click.option("--print", "prints", is_flag=True, help="Print the configuration instead of writing it.")
def init(file: Path, *, force: bool, prints: bool) -> None:
    """Write a configuration for the hardware of this device to FILE (/etc/inferd/inferd.toml).

    Looks for cameras, an Edge TPU, a power meter and a broker. Without a camera it configures the digits example.
    """
    found = look(around(None, WITHIN_S))
    text = draft(found)
    if prints:
        click.echo(text, nl=False)
        return
    kept = _write(file, text, force=force)
    copied = [f"kept     {kept}, which was there before"] if kept else []
    click.echo(as_called("\n".join([*told(found), *copied, f"wrote    {file}", f"next     {_next(file)}"])))


def _write(file: Path, text: str, *, force: bool) -> Path | None:
    """Write the file, and the folder it lies in; return the copy of an edited file that was there, None without one.

    Raises:
        InferdError: it is there already, or the disk refuses.
    """
    if file.exists() and not force and not _is_untouched(file):
        why = "is there already and stays as it is; --force replaces it and keeps a copy, --print only shows"
        raise InferdError(str(file), why)
    try:
        make_folder(file.absolute().parent)
        kept = _keep(file) if file.exists() and not _is_untouched(file) else None
        write_atomic(file, text.encode())
    except PermissionError as exc:
        raise InferdError(
            str(file), f"cannot be written; run `sudo inferd init`, or `inferd init {file.name}`"
        ) from exc
    except OSError as exc:
        raise InferdError(str(file), f"cannot be written ({exc.strerror}); name another file") from exc
    return kept


def _keep(file: Path) -> Path:
    """Copy a file beside itself under the first free name: inferd.toml.old, inferd.toml.old2, ..."""
    names = (file.with_name(f"{file.name}.old{number if number > 1 else ''}") for number in itertools.count(1))
    copy = next(name for name in names if not name.exists())
    shutil.copy2(file, copy)
    return copy


def _is_untouched(file: Path) -> bool:
    """Whether a file is still as `inferd install` wrote it."""
    return file.is_file() and file.read_text(errors="replace") == starting_config()


def _next(file: Path) -> str:
    where = "" if file == SYSTEM_FILE else f" --config {file}"
    return f"inferd doctor{where}; inferd run{where}"
