"""Where commands find the agent that runs on this device."""

from __future__ import annotations

import os
from pathlib import Path

import click

from inferd.config.load import load, state_dir
from inferd.control.commands.local_socket import NAME, SYSTEM_FOLDER, VIEW_NAME, folder_of

config_option = click.option(
    "--config", "file", type=click.Path(path_type=Path), help="The configuration that the agent runs with."
)


def agent_folder(file: Path | None) -> Path:
    """Return where the agent listens: as its configuration says; without one, the system's service goes first."""
    system = Path(SYSTEM_FOLDER)
    if file is None and any((system / name).exists() for name in (NAME, VIEW_NAME)):
        return system
    return folder_of(state_dir(load(file, os.environ).config, os.environ), os.environ.get("RUNTIME_DIRECTORY", ""))
