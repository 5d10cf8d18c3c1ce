"""`inferd snapshot`: what a running agent sees at this moment."""

from __future__ import annotations

import os
from pathlib import Path

import click

from inferd import ipc
from inferd.cli.format_results import lines_of
from inferd.config.load import load, state_dir
from inferd.control.commands.control_socket import NAME, SYSTEM_FOLDER, ask, folder_of
from inferd.errors import WorkerError
from inferd.system.files.atomic import write_atomic
from inferd.system.files.memory_file import read_memory_file

MOST_BYTES = 256 << 20


@click.command()
@click.argument("pipeline", default="")
@click.option("--draw", is_flag=True, help="Draw what was found on the frame.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the picture here; else to PIPELINE.png.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The configuration that the agent runs with.")
def snapshot(pipeline: str, output: Path | None, file: Path | None, *, draw: bool) -> None:
    """Save the next frame of a PIPELINE of the agent that runs on this device, and print what was found in it.

    Good for aiming a camera that has no screen. PIPELINE may be left out where there is only one.

    \b
    inferd snapshot --draw
    inferd snapshot door --output /tmp/door.png
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    answer, fds = ask(_folder(file), ipc.AskFrame(pipeline, draw))
    if not isinstance(answer, ipc.SnapshotTaken) or not fds:
        raise WorkerError("snapshot", answer.why if isinstance(answer, ipc.SnapshotRefused) else "no picture came")
    picture = read_memory_file(fds[0], MOST_BYTES)
    target = output or Path(f"{answer.pipeline}.png")
    write_atomic(target, picture)
    click.echo(f"{target}  frame {answer.tick.seq} of {answer.pipeline} by {answer.ref.title}")
    click.echo("\n".join(lines_of(answer.tick.result)))


def _folder(file: Path | None) -> Path:
    """Return where the agent listens: as its configuration says; without one, the system's service goes first."""
    if file is None and (Path(SYSTEM_FOLDER) / NAME).exists():
        return Path(SYSTEM_FOLDER)
    return folder_of(state_dir(load(file, os.environ).config, os.environ), os.environ.get("RUNTIME_DIRECTORY", ""))
