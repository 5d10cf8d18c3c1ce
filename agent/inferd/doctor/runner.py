"""Makes the round: all readers at once, each in a thread of its own and all within one time; then the judges.

A reader that fails or takes too long costs its own checks, which are told as not made, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from inferd import __version__
from inferd.doctor.check import SEVERITIES, Check, DoctorReport, Finding, Reader, Unchecked, tell
from inferd.doctor.readers.world import World
from inferd.records import Unavailable
from inferd.system.threads import join_all, start

Facts = dict[Reader, Any]  # each reader has its own type of facts, which its judges know
GRACE_S = 0.15  # between the time-out of what readers wait for and our own: a time-out is told better by who waited


def examine(world: World, checks: Sequence[Check]) -> DoctorReport:
    """Make every check and return what was found."""
    began_ns = world.clock.monotonic_ns()
    facts = read_all(world, dict.fromkeys(reader for check in checks for reader in check.reads))
    told = [one for check in checks for one in judge(check, facts)]
    rooms = list(dict.fromkeys(check.room for check in checks))
    findings = sorted(
        (one for one in told if isinstance(one, Finding)),
        key=lambda one: (SEVERITIES.index(one.severity), rooms.index(one.room)),
    )
    return DoctorReport(
        inferd=__version__,
        machine=title(world),
        user=world.user.name,
        checks=len(checks),
        took_ms=round((world.clock.monotonic_ns() - began_ns) / 1e6),
        healthy=not any(one.severity == "error" for one in findings),
        findings=tuple(findings),
        unchecked=tuple(one for one in told if isinstance(one, Unchecked)),
    )


def read_all(world: World, readers: Iterable[Reader]) -> Facts:
    """Run all readers side by side; those that fail or are late leave an `Unavailable` that says so."""
    wanted = list(readers)
    facts: list[Any] = [Unavailable("it took too long; give it more time: inferd doctor --within 20")] * len(wanted)
    threads = [start(reader.__name__, partial(_read, world, reader, facts, n)) for n, reader in enumerate(wanted)]
    join_all(threads, world.left_s() + GRACE_S)
    return dict(zip(wanted, facts, strict=True))


def judge(check: Check, facts: Facts) -> Iterator[Finding | Unchecked]:
    """Yield what a check has to say of the facts."""
    needed = [facts[reader] for reader in check.reads]
    lacking = next((fact for fact in needed if isinstance(fact, Unavailable)), None)
    if lacking is not None:
        yield Unchecked(check.id, lacking.why)
        return
    try:
        for fault in check.judge(*needed):
            yield tell(check, fault)
    except Exception as exc:  # noqa: BLE001 - our own mistake in one judge must not hide what the others found
        yield Unchecked(check.id, _own_fault(exc))


def title(world: World) -> str:
    """Return what this machine is, for people."""
    board = world.board or "this machine"
    release = world.read("/etc/os-release") or ""
    names = [line.partition("=")[2].strip('"') for line in release.splitlines() if line.startswith("PRETTY_NAME=")]
    return ", ".join([board, *names, world.python.title])


def _read(world: World, reader: Reader, facts: list[Any], number: int) -> None:
    try:
        facts[number] = reader(world)
    except OSError as exc:
        facts[number] = Unavailable(f"{exc.filename or 'the system'}: {exc.strerror or exc}")
    except Exception as exc:  # noqa: BLE001 - a reader that fails must say so, and not end the round
        facts[number] = Unavailable(_own_fault(exc))


def _own_fault(exc: Exception) -> str:
    return f"inferd's own mistake, please report it: {type(exc).__name__}: {exc}"
