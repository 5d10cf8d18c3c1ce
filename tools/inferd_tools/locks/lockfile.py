"""Reads deploy/locks/ and compares it with pyproject.toml. Needs no network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[3]
LOCKS = PROJECT / "deploy/locks"
PYTHONS = ((3, 11), (3, 13))
MACHINES = ("x86_64", "aarch64")
EDITABLE = "editables>=0.5"  # hatchling asks for it only while it builds an editable install
OLD_RUNTIME = ("tflite-runtime==2.14.0", "numpy<2", "opencv-python-headless<4.12")  # 4.12 asks for numpy 2
ONLY_311 = "; python_version < '3.12'"  # the last tflite-runtime has no wheels for newer Pythons
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Target:
    """A Python and a machine that the locks are made for."""

    python: tuple[int, int]
    machine: str

    def accepts(self, requirement: Requirement) -> bool:
        """Whether the requirement's marker holds on this target."""
        number = ".".join(map(str, self.python))
        there = {
            "implementation_name": "cpython",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "python_full_version": f"{number}.0",
            "python_version": number,
            "sys_platform": "linux",
            "extra": "",
        }
        return requirement.marker is None or requirement.marker.evaluate(there)


TARGETS = tuple(Target(python, machine) for python in PYTHONS for machine in MACHINES)


@dataclass(frozen=True, slots=True)
class LockedPin:
    """One package of a lock: its exact version with a marker, and the digests of its files as pip's options."""

    requirement: Requirement
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        """Return it without its marker, as a line that pip reads."""
        return " ".join((f"{self.requirement.name}{self.requirement.specifier}", *self.hashes))


def wanted(pyproject: Mapping[str, Any]) -> dict[str, list[Requirement]]:  # Any: TOML
    """Return what each lock has to hold: its name → direct requirements.

    The locks are "base", "build" (what installs inferd itself), one for each extra, which holds "base" too, and "tflite-runtime":
    the tests on that runtime alone. The extra "lock" is uv alone: it resolves what inferd needs and is not needed by it.
    """
    base: list[str] = pyproject["project"]["dependencies"]
    extras: dict[str, list[str]] = pyproject["project"]["optional-dependencies"]
    name: str = pyproject["project"]["name"]
    lists = {extra: [*base, *_expanded(lines, extras, name)] for extra, lines in extras.items()}
    lists |= {"base": base, "build": [*pyproject["build-system"]["requires"], EDITABLE], "lock": extras["lock"]}
    others = [line for line in (*base, *extras["test"]) if Requirement(line).name not in {name, "ai-edge-litert"}]
    lists["tflite-runtime"] = [*others, *(line + ONLY_311 for line in OLD_RUNTIME)]
    return {lock: [Requirement(line) for line in lines] for lock, lines in lists.items()}


def _expanded(lines: list[str], extras: Mapping[str, list[str]], project: str) -> Iterator[str]:
    """Yield an extra's requirements, with those of the extras it names."""
    for line in lines:
        requirement = Requirement(line)
        if requirement.name != project:
            yield line
        for extra in sorted(requirement.extras if requirement.name == project else ()):
            yield from _expanded(extras[extra], extras, project)


def read_pins(text: str) -> list[LockedPin]:
    """Return the packages of a lock.

    Raises:
        ValueError: an entry is not an exact version with hashes; an index, a URL and an option are none.
    """
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = [entry for entry in kept.replace("\\\n", " ").splitlines() if entry.strip()]
    return [_pin(entry) for entry in entries]


def _pin(entry: str) -> LockedPin:
    line, *options = re.split(r"\s+(?=--)", entry.strip())
    if not re.match(r"[\w.-]+==[\w.!+]+( ;|$)", line) or not options or not all(map(HASH.fullmatch, options)):
        raise ValueError(f"{line.split()[0]} is not an exact version with hashes")
    return LockedPin(Requirement(line), tuple(options))


def pins_for(text: str, target: Target) -> dict[str, LockedPin]:
    """Return the packages of a lock that a target installs: name → pin."""
    return {canonicalize_name(pin.requirement.name): pin for pin in read_pins(text) if target.accepts(pin.requirement)}


def faults(pyproject: Mapping[str, Any], locks: Mapping[str, str]) -> list[str]:  # Any: TOML
    """Return where locks (name → text) do not satisfy pyproject.toml; sentences that begin with the file's name."""
    lists = wanted(pyproject)
    found = [f"{name}.txt is a lock of nothing in pyproject.toml" for name in locks if name not in lists]
    for name, requirements in lists.items():
        if name not in locks:
            found.append(f"{name}.txt is missing")
            continue
        try:
            told = [fault for target in TARGETS for fault in _missed(requirements, locks[name], target)]
        except ValueError as exc:
            told = [str(exc)]
        found += [f"{name}.txt: {fault}" for fault in dict.fromkeys(told)]
    return found


def _missed(requirements: list[Requirement], lock: str, target: Target) -> Iterator[str]:
    pins = pins_for(lock, target)
    for requirement in filter(target.accepts, requirements):
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            yield f"{requirement.name} is missing"
        elif not requirement.specifier.contains(str(pin.requirement.specifier)[2:], prereleases=True):
            yield f"{pin.requirement.name}{pin.requirement.specifier} is not {requirement.specifier}"
