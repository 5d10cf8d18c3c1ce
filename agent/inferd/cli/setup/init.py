"""`inferd init`: a first configuration from what is found."""

from __future__ import annotations

from pathlib import Path

import click

from inferd.cli.setup.doctor import WITHIN_S, around
from inferd.doctor.draft_config import draft, look, told
from inferd.errors import InferdError
from inferd.install.layout import starting_config
from inferd.system.files.atomic import make_folder, write_atomic

SYSTEM_FILE = Path("/etc/inferd/inferd.toml")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=SYSTEM_FILE)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--print", "prints", is_flag=True, help="Print the configuration instead of writing it.")
def init(file: Path, *, force: bool, prints: bool) -> None:
    """Write a configuration to FILE (/etc/inferd/inferd.toml) from what is found on this device.

    Looks for cameras, an Edge TPU, a power meter and a broker. Without a camera the digits example is configured, which
    needs nothing.
    """
    found = look(around(None, WITHIN_S))
    text = draft(found)
    if prints:
        click.echo(text, nl=False)
        return
    _write(file, text, force=force)
    click.echo("\n".join([*told(found), f"wrote    {file}", f"next     {_next(file)}"]))


def _write(file: Path, text: str, *, force: bool) -> None:
    """Write the file, and the folder it lies in.

    Raises:
        InferdError: it is there already, or the disk refuses.
    """
    if file.exists() and not force and not _is_untouched(file):
        raise InferdError(str(file), "is there already and stays as it is; --force writes over it, --print only shows")
    try:
        make_folder(file.absolute().parent)
        write_atomic(file, text.encode())
    except PermissionError as exc:
        raise InferdError(
            str(file), f"cannot be written; run `sudo inferd init`, or `inferd init {file.name}`"
        ) from exc
    except OSError as exc:
        raise InferdError(str(file), f"cannot be written ({exc.strerror}); name another file") from exc


def _is_untouched(file: Path) -> bool:
    """Whether a file is what `inferd install` puts there, in which nobody has written anything."""
    return file.is_file() and file.read_text(errors="replace") == starting_config()


def _next(file: Path) -> str:
    where = "" if file == SYSTEM_FILE else f" --config {file}"
    return f"inferd doctor{where}; inferd run{where}"
