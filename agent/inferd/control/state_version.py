"""Which format the state folder has: an older inferd refuses what a newer one wrote, instead of misreading it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from inferd.errors import ConfigError
from inferd.system.files.atomic import make_folder, write_atomic

FORMAT = 1
FILE = "format.json"


class VersionStamp(msgspec.Struct, frozen=True):
    """The content of the file: the format, and which inferd wrote it."""

    format: int
    version: str


def claim(state_dir: Path, version: str) -> None:
    """Check the format of a state folder; one that is new, older or unmarked is marked with ours.

    A folder that cannot be written (a full disk) does not keep inferd from inferring; what needs to write reports it.

    Raises:
        ConfigError: a newer inferd has written it.
    """
    found = _read(state_dir / FILE)
    if newer := written_by_newer(state_dir):
        raise ConfigError(
            str(state_dir),
            f"was written by inferd {newer.version} in state format {newer.format}, and inferd {version} knows {FORMAT};"
            f" install inferd {newer.version} again, or move the folder away and lose its models",
        )
    if found is None or found.format < FORMAT:
        with contextlib.suppress(OSError):
            make_folder(state_dir)
            write_atomic(state_dir / FILE, msgspec.json.encode(VersionStamp(FORMAT, version)))


def written_by_newer(state_dir: Path) -> VersionStamp | None:
    """Return the mark of a folder that only a newer inferd understands; None where we do."""
    found = _read(state_dir / FILE)
    return found if found is not None and found.format > FORMAT else None


def _read(file: Path) -> VersionStamp | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=VersionStamp)
    except (OSError, msgspec.DecodeError):  # a damaged mark is made anew; what it marks has checks of its own
        return None
