"""The round: a reader or judge that goes wrong costs its own check and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.machines.boards import pi4
from inferd.doctor.check import Check, DoctorReport, Problem
from inferd.doctor.readers.world import World
from inferd.doctor.registry import CHECKS, ROOMS
from inferd.doctor.runner import examine
from inferd.records import Unavailable

never = threading.Event()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a healthy machine, with half a second to look at it."""
    board = pi4(tmp_path).world()
    return replace(board, ends_ns=board.clock.monotonic_ns() + 500_000_000)


def fault(_: object) -> Iterator[Problem]:
    yield Problem("it is broken", "there", "mend it")


def one(_: World) -> int:
    return 1


def fail(_: World) -> int:
    raise ValueError("of our own")


def refuse(_: World) -> int:
    raise PermissionError(13, "Permission denied", "/dev/vcio")


def hang(_: World) -> int:
    never.wait()
    return 1


def lack(_: World) -> Unavailable:
    return Unavailable("it needs group video")


def stumble(_: object) -> Iterator[Problem]:
    yield Problem("", "", "") if never.is_set() else fail_to_judge()


def fail_to_judge() -> Problem:
    raise ZeroDivisionError("of our own")


WELL = Check("power.well", "", "why", fault, (one,))
BAD = {
    "a reader of ours that fails": (Check("disk.bad", "", "", fault, (fail,)), "inferd's own mistake"),
    "a reader that may not": (Check("disk.bad", "", "", fault, (refuse,)), "/dev/vcio: Permission denied"),
    "a reader that hangs": (Check("disk.bad", "", "", fault, (hang,)), "it took too long"),
    "a reader that cannot know": (Check("disk.bad", "", "", fault, (lack,)), "it needs group video"),
    "a judge of ours that fails": (Check("disk.bad", "", "", stumble, (one,)), "inferd's own mistake"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_check_that_cannot_be_made_is_told_as_such(name: str, world: World) -> None:
    check, why = BAD[name]
    (unchecked,) = examine(world, (check, WELL)).unchecked
    assert unchecked.why.startswith(why)


@pytest.mark.parametrize("name", BAD)
def test_a_check_that_cannot_be_made_hides_no_other(name: str, world: World) -> None:
    (finding,) = examine(world, (BAD[name][0], WELL)).findings
    assert finding.id == "power.well"


def test_what_cannot_be_checked_is_no_error(world: World) -> None:
    assert examine(world, (BAD["a reader that hangs"][0],)).healthy


def test_a_reader_that_two_checks_share_reads_once(world: World) -> None:
    seen: list[World] = []

    def counted(looked_at: World) -> int:
        seen.append(looked_at)
        return 1

    examine(world, (Check("disk.a", "", "", fault, (counted,)), Check("disk.b", "", "", fault, (counted,))))
    assert len(seen) == 1


def test_the_worst_comes_first(world: World) -> None:
    def mild(_: object) -> Iterator[Problem]:
        yield Problem("it wears out", "there", "mend it", "warning")

    report = examine(world, (Check("config.mild", "", "", mild, (one,)), WELL))
    assert [finding.severity for finding in report.findings] == ["error", "warning"]


def test_every_check_has_a_name_of_its_own_in_a_known_room() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    assert {check.room for check in CHECKS} <= set(ROOMS)


def test_the_report_of_a_machine_names_it(tmp_path: Path) -> None:
    report: DoctorReport = examine(pi4(tmp_path).world(), CHECKS)
    assert report.machine == "Raspberry Pi 4 Model B Rev 1.4, Python 3.11 (aarch64)"
