"""What machine this is, in the words of its firmware and its distribution."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """A machine; `board` is None where the firmware says nothing (a PC, a container)."""

    python: str
    architecture: str
    os: str
    board: str | None


@cache
def describe(root: Path = Path("/")) -> MachineInfo:
    """Return what machine this is; read once, for it does not change."""
    release = platform.freedesktop_os_release() if (root / "etc/os-release").exists() else {}
    return MachineInfo(
        python=platform.python_version(),
        architecture=platform.machine(),
        os=release.get("PRETTY_NAME", platform.system()),
        board=_board(root / "proc/device-tree/model"),
    )


def _board(model: Path) -> str | None:
    """Return what the device tree calls the board, such as "Raspberry Pi 4 Model B Rev 1.4"."""
    try:
        return model.read_text().rstrip("\0\n") or None
    except (OSError, UnicodeDecodeError):
        return None


def boot_id(root: Path = Path("/")) -> str:
    """Return what the kernel calls this boot; "" where it does not tell."""
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
