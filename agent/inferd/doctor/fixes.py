"""The few faults that may be mended without asking: nothing is deleted, nothing is overwritten."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from inferd.doctor.check import Finding
from inferd.doctor.draft_config import draft, look
from inferd.doctor.readers.world import World
from inferd.store.storage.state_file import BEFORE
from inferd.system.files.atomic import make_folder, write_atomic

Fix = Callable[[World, Finding], str]


def fix_all(world: World, findings: Iterable[Finding]) -> tuple[str, ...]:
    """Mend what can safely be mended, and return what was done, or why it could not be, one sentence each."""
    return tuple(_fix(world, finding) for finding in findings if finding.id in FIXES)


def make_missing_folder(world: World, finding: Finding) -> str:
    """Make a folder that the configuration names."""
    make_folder(world.at(finding.where))
    return f"made the folder {finding.where}"


def close_password_file(world: World, finding: Finding) -> str:
    """Take away everybody's right to read the password."""
    file = world.at(finding.where)
    if not file.stat().st_mode & stat.S_IRWXO:
        return f"left {finding.where} as it is: it is closed to others already"
    file.chmod(stat.S_IMODE(file.stat().st_mode) & ~stat.S_IRWXO)
    return f"{finding.where} is no longer open to everybody"


def write_configuration(world: World, finding: Finding) -> str:
    """Write a configuration of what is found, where there is none."""
    file = world.at(finding.where)
    if file.exists():
        return f"left {finding.where} as it is: it names no pipeline, which is yours to say"
    make_folder(Path(file.parent))
    write_atomic(file, draft(look(world)).encode())
    return f"wrote {finding.where}"


def _fix(world: World, finding: Finding) -> str:
    try:
        return FIXES[finding.id](world, finding)
    except OSError as exc:
        return f"could not mend {finding.id}: {finding.where}: {exc.strerror}"


def heal_state(world: World, finding: Finding) -> str:
    """Put the copy before in the place of a damaged state file, as the service does when it starts.

    A service that runs meanwhile has the state in memory and writes it whole at the next change.
    """
    file = world.at(finding.where)
    if finding.severity == "error":
        return f"left {finding.where} as it is: there is nothing whole to heal it from"
    write_atomic(file, file.with_name(BEFORE).read_bytes())
    return f"healed {finding.where} from {BEFORE}"


FIXES: dict[str, Fix] = {
    "disk.state": heal_state,
    "disk.missing": make_missing_folder,
    "broker.password-file": close_password_file,
    "config.none": write_configuration,
}
