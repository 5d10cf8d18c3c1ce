"""Finds a shared library where the dynamic linker would, and reads for which machine it was built (ELF header)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inferd.doctor.readers.world import World

TRIPLETS = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "armv7l": "arm-linux-gnueabihf"}
MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}  # e_machine, elf.h
ELF = b"\x7fELF"
MACHINE_AT = 18


@dataclass(frozen=True, slots=True)
class Library:
    """A library file, as this machine names it, and the architecture it was built for ("" where it is no ELF file)."""

    path: str
    architecture: str


def find_library(world: World, name: str) -> Library | None:
    """Return the library that would be loaded, else one that is there but of another kind, None where there is none."""
    places = [f"{folder}/{name}" for folder in _folders(world)]
    found = [Library(place, architecture(world.at(place))) for place in places if world.at(place).is_file()]
    fitting = [one for one in found if one.architecture == world.python.architecture]
    return next(iter([*fitting, *found]), None)


def architecture(file: Path) -> str:
    """Return for which machine an ELF file was built, as `uname -m` would call it; "" where it is none."""
    with file.open("rb") as stream:
        header = stream.read(MACHINE_AT + 2)
    if not header.startswith(ELF):
        return ""
    number = int.from_bytes(header[MACHINE_AT:], "little")
    return MACHINES.get(number, f"machine {number}")


def _folders(world: World) -> list[str]:
    triplet = TRIPLETS.get(world.python.architecture, "")
    given = [folder for folder in world.environment.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    shared = ["/usr/local/lib", *(f"{lib}/{triplet}" for lib in ("/lib", "/usr/lib") if triplet), "/lib", "/usr/lib"]
    return [*given, *shared, "/lib64", "/usr/lib64"]
