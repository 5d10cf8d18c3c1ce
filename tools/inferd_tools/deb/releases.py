"""What the Debian releases bring that a package has to fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """A Debian release.

    Attributes:
        codename: "bookworm", ...
        number: as in its version numbers.
        python: its Python.
        glibc: minor version of its glibc 2.
        systemd: version.
        lib: where it keeps the files of units and of udev.
    """

    codename: str
    number: int
    python: tuple[int, int]
    glibc: int
    systemd: int
    lib: str


RELEASES = {
    "bookworm": Release("bookworm", 12, (3, 11), 36, 252, "lib"),
    "trixie": Release("trixie", 13, (3, 13), 41, 257, "usr/lib"),
}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
OLDEST_GLIBC = 17  # manylinux2014


def wheel_platforms(release: Release, architecture: str) -> list[str]:
    """Return the platform tags of wheels that run there, best first."""
    machine = MACHINES[architecture]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(release.glibc, OLDEST_GLIBC - 1, -1)]
    return [*tags, f"manylinux2014_{machine}"]
