"""What a person sees."""

from __future__ import annotations

from pathlib import Path

import click

from fixtures.machines.boards import Board, pi4
from inferd.doctor.registry import CHECKS
from inferd.doctor.report import lines
from inferd.doctor.runner import examine


def shown(board: Board) -> list[str]:
    return click.unstyle("\n".join(lines(examine(board.world(), CHECKS)))).splitlines()


def test_a_healthy_machine_is_told_in_one_sentence(tmp_path: Path) -> None:
    last = shown(pi4(tmp_path))[-1]
    assert last.startswith(f"{len(CHECKS)} checks in ")
    assert last.endswith(", all well")


def test_a_finding_says_what_where_why_and_what_mends_it(tmp_path: Path) -> None:
    board = pi4(tmp_path)
    board.prints("vcgencmd", "throttled=0x50005")
    text = shown(board)
    labels = [line[:11].strip() for line in text[text.index("power") + 1 :]]
    assert [label for label in labels if label][:4] == ["error", "where", "why", "mend"]


def test_the_room_with_the_worst_finding_comes_first(tmp_path: Path) -> None:
    board = pi4(tmp_path)
    board.prints("timedatectl", "no")
    board.remove("/var/lib/inferd/models/digits/clip.avi")
    text = shown(board)
    assert text.index("sources") < text.index("system")


def test_a_mend_is_never_wrapped_so_that_it_can_be_copied(tmp_path: Path) -> None:
    board = pi4(tmp_path)
    board.write("/sys/class/watchdog/watchdog0/state", "inactive\n")
    (mend,) = (line for line in shown(board) if line.strip().startswith("mend"))
    assert mend.endswith("sudo systemctl daemon-reexec")


def test_what_could_not_be_checked_is_told(tmp_path: Path) -> None:
    board = pi4(tmp_path)
    board.prints("vcgencmd", "VCHI initialization failed")
    text = shown(board)
    assert "not checked" in text
    assert text[-1].startswith(f"{len(CHECKS) - 2} checks in ")
