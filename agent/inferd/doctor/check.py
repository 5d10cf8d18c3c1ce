"""What a check is: readers that look at the world, and a pure judge of what they saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from inferd.doctor.readers.world import World
from inferd.foreign_text import printable

Severity = Literal["error", "warning", "note"]
Room = Literal["config", "runtime", "models", "sources", "accelerator", "broker", "disk", "power", "system"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

Reader = Callable[[World], Any]
"""Reads facts. Returns `records.Unavailable` where they cannot be had; every check has readers of its own types."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a judge holds against the world.

    Attributes:
        what: the fact, one sentence without a full stop.
        where: the file, key, device or program at fault.
        mend: the one command or line that mends it.
        severity: "error" stops something, "warning" will, "note" is only good to know.
    """

    what: str
    where: str
    mend: str
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at. Checks that name the same reader share what it read.

    Attributes:
        id: "room.fault"; stays as it is, people search for it.
        looks_at: what is looked at, for the list of checks.
        why: why the fault matters, one sentence without a full stop.
        judge: takes what the readers gave, in their order, and yields faults. Pure.
        reads: the readers.
    """

    id: str
    looks_at: str
    why: str
    judge: Callable[..., Iterable[Problem]]
    reads: tuple[Reader, ...]

    @property
    def room(self) -> Room:
        """The room of this house that the check belongs to."""
        return self.id.partition(".")[0]  # type: ignore[return-value]  # a test sees to it that it is one


class Finding(msgspec.Struct, frozen=True):
    """A fault, as it is told."""

    id: str
    room: Room
    severity: Severity
    what: str
    where: str
    why: str
    mend: str


class Unchecked(msgspec.Struct, frozen=True):
    """A check that could not be made, and why."""

    id: str
    why: str


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an examination found.

    Attributes:
        inferd: the version.
        machine: board or architecture, system and Python, for people.
        user: for whom permissions were judged.
        checks: how many were made or tried.
        healthy: whether there is no error.
        findings: worst first, then by room.
        unchecked: what could not be looked at.
        fixed: what `--fix` did, one sentence each.
    """

    schema_version: int = 1
    inferd: str
    machine: str
    user: str
    checks: int
    took_ms: int
    healthy: bool
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]
    fixed: tuple[str, ...] = ()


def tell(check: Check, fault: Problem) -> Finding:
    """Return a fault as a finding of its check."""
    what, where, remedy = map(printable, (fault.what, fault.where, fault.mend))
    return Finding(check.id, check.room, fault.severity, what, where, check.why, remedy)
