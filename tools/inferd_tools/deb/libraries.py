"""Which of the system's libraries an environment needs, read from its binaries: wheel tags do not always tell the truth."""

# ruff: noqa: S603, S607 - it starts the real programs, by full argument lists

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ELF = b"\x7fELF"
PACKAGE_OF = {
    "libc.so.6": "libc6",
    "libm.so.6": "libc6",
    "libdl.so.2": "libc6",
    "libpthread.so.0": "libc6",
    "librt.so.1": "libc6",
    "libutil.so.1": "libc6",
    "ld-linux-x86-64.so.2": "libc6",
    "ld-linux-aarch64.so.1": "libc6",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libz.so.1": "zlib1g",
}


@dataclass(slots=True)
class SystemNeeds:
    """What an environment's binaries need from the system.

    Attributes:
        packages: Debian packages.
        glibc: the newest minor version of glibc 2 that a symbol asks for.
        unknown: library → a binary that names it; nothing in the environment or in Debian's base brings it.
    """

    packages: set[str] = field(default_factory=set)
    glibc: int = 0
    unknown: dict[str, str] = field(default_factory=dict)


def binaries(folder: Path) -> list[Path]:
    """Return all ELF files below `folder`."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path for path in files if path.open("rb").read(4) == ELF]


def needs(folder: Path) -> SystemNeeds:
    """Read what all binaries below `folder` need from outside it."""
    found = SystemNeeds()
    own = {path.name for path in folder.rglob("*.so*")}
    for path in binaries(folder):
        _add(found, path.name, own, _readelf(path))
    return found


def depends(found: SystemNeeds, python: tuple[int, int]) -> str:
    """Return the package's Depends."""
    versioned = (f"libc6 (>= 2.{found.glibc})" if name == "libc6" else name for name in sorted(found.packages))
    return ", ".join([*versioned, f"python{python[0]}.{python[1]}"])


def _add(found: SystemNeeds, binary: str, own: Iterable[str], text: str) -> None:
    for library in re.findall(r"\(NEEDED\).*\[(.+)\]", text):
        if library in PACKAGE_OF:
            found.packages.add(PACKAGE_OF[library])
        elif library not in own:
            found.unknown[library] = binary
    asked = [int(minor) for minor in re.findall(r"Name: GLIBC_2\.(\d+)", text)]
    found.glibc = max([found.glibc, *asked])


def _readelf(path: Path) -> str:
    return subprocess.run(
        ["readelf", "-dVW", str(path)], capture_output=True, text=True, check=True, errors="replace"
    ).stdout
