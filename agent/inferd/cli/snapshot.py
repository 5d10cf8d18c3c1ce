"""`inferd snapshot`: the next frame of a running agent."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from inferd.cli.find_agent import agent_folder, config_option
from inferd.cli.format_results import lines_of
from inferd.control.commands.local_client import ask_with_files
from inferd.errors import WorkerError
from inferd.system.files.atomic import write_atomic
from inferd.system.files.memory_file import read_memory_file
from inferd.wire.requests import LocalFrame

MOST_BYTES = 256 << 20


@click.command()
@click.argument("pipeline", default="")
@click.option("--draw", is_flag=True, help="Draw what was found on the frame.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the picture here; else to PIPELINE.png.")
@config_option
def snapshot(pipeline: str, output: Path | None, file: Path | None, *, draw: bool) -> None:
    """Save the next frame of a PIPELINE of the agent that runs on this device, and print what was found in it.

    Helps to aim a camera that has no screen. PIPELINE may be left out if there is only one.

    \b
    inferd snapshot --draw
    inferd snapshot door --output /tmp/door.png
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    answer, fds = ask_with_files(agent_folder(file), "snapshot", {"pipeline": pipeline, "drawn": draw})
    frame = msgspec.json.decode(answer, type=LocalFrame)
    if not fds:
        raise WorkerError("snapshot", "no picture came")
    picture = read_memory_file(fds[0], MOST_BYTES)
    target = output or Path(f"{frame.pipeline}.png")
    write_atomic(target, picture)
    click.echo(f"{target}  frame {frame.frame} of {frame.pipeline} by {frame.model}")
    click.echo("\n".join(lines_of(frame.result)))
