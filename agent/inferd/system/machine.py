"""Names of the machine, as firmware and distribution report them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from inferd.foreign_text import printable


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """A machine; `board` is None without a device tree (a PC, a container)."""

    python: str
    architecture: str
    os: str
    board: str | None


@cache
def describe(root: Path = Path("/")) -> MachineInfo:
    """Return the machine's names; cached, for they do not change."""
    try:
        release = platform.freedesktop_os_release()
    except (OSError, UnicodeDecodeError):
        release = {}
    return MachineInfo(
        python=platform.python_version(),
        architecture=platform.machine(),
        os=printable(release.get("PRETTY_NAME", platform.system())),
        board=_board(root / "proc/device-tree/model"),
    )


def _board(model: Path) -> str | None:
    """Return the board's name in the device tree, such as "Raspberry Pi 4 Model B Rev 1.4"."""
    try:
        return printable(model.read_text(errors="surrogateescape").rstrip("\0\n")) or None
    except OSError:
        return None


def boot_id(root: Path = Path("/")) -> str:
    """Return the kernel's id of this boot; "" if there is none."""
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text(errors="replace").strip()
    except OSError:
        return ""
