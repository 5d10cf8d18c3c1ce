"""A worker that grows: said when it comes near its limit, replaced beyond it, and never for what it only shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd.control.processes.memory_watch import MemoryWatch, is_tight
from inferd.system.clock import CountingClock
from inferd.system.processes.process import Exit

LIMIT_MB = 100.0
PAGE = 4096
SIGKILL = 9


class Board:
    """A fixture /proc with one process, and what was said of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = CountingClock()
        self.told: list[tuple[float, float]] = []
        self.watch = MemoryWatch(self.clock, lambda size_mb, limit_mb: self.told.append((size_mb, limit_mb)), root)
        (root / "proc/7").mkdir(parents=True)
        (root / "proc/meminfo").write_text("MemTotal:         500000 kB\n")
        self.kernel_kills(0)
        self.takes(0.0, 0.0)
        self.watch.begin(7, LIMIT_MB)

    def takes(self, rss_mb: float, pss_mb: float) -> None:
        """Let the process take so much, some of it shared."""
        (self.root / "proc/7/stat").write_text("7 (inferd-worker) S " + "0 " * 40)
        (self.root / "proc/7/statm").write_text(f"999999 {round(rss_mb * 1e6 / PAGE)} 0 0 0 0 0\n")
        (self.root / "proc/7/smaps_rollup").write_text(
            f"0-1 ---p 0 00:00 0 [rollup]\nPss: {round(pss_mb * 1e6 / 1024)} kB\n"
        )

    def kernel_kills(self, count: int) -> None:
        """Let the kernel have killed so many."""
        (self.root / "proc/vmstat").write_text(f"nr_free_pages 1\noom_kill {count}\n")

    def look(self, rss_mb: float, pss_mb: float) -> str:
        """Let a second pass in which the process comes to take so much."""
        self.takes(rss_mb, pss_mb)
        self.clock.advance(1.0)
        return self.watch.excess()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_one_that_keeps_to_its_memory_is_left_alone(board: Board) -> None:
    assert [board.look(mb, mb) for mb in (20.0, 60.0, 80.0)] == ["", "", ""]
    assert board.told == []


def test_one_that_comes_near_its_limit_is_told_of_once(board: Board) -> None:
    assert [board.look(mb, mb) for mb in (20.0, 90.0, 91.0, 92.0)] == [""] * 4
    assert len(board.told) == 1


def test_one_beyond_its_limit_is_to_go_at_the_next_look(board: Board) -> None:
    assert board.look(90.0, 90.0) == ""
    assert board.look(120.0, 120.0) == "grew to 120 MB, beyond 100 MB (watch.memory_max_mb)"


def test_what_it_shares_with_others_is_not_held_against_it(board: Board) -> None:
    assert board.look(200.0, 40.0) == ""
    assert board.told == []


def test_without_a_limit_it_may_have_a_share_of_the_board(board: Board) -> None:
    board.watch.begin(7, 0.0)
    assert board.look(350.0, 350.0) == ""
    assert board.look(370.0, 370.0) == "grew to 370 MB, beyond 358 MB (watch.memory_max_mb)"


def test_a_worker_that_follows_starts_anew(board: Board) -> None:
    board.look(90.0, 90.0)
    board.watch.begin(7, LIMIT_MB)
    board.look(90.0, 90.0)
    assert len(board.told) == 2


def test_nobody_is_watched_after_the_end(board: Board) -> None:
    board.watch.end()
    assert board.look(900.0, 900.0) == ""


def test_a_process_that_is_gone_is_no_excess(board: Board) -> None:
    board.look(20.0, 20.0)
    for file in (board.root / "proc/7").iterdir():
        file.unlink()
    board.watch.begin(7, LIMIT_MB)
    board.clock.advance(1.0)
    assert board.watch.excess() == ""


def test_a_kill_by_the_kernel_for_memory_is_told_from_one_by_a_person(board: Board) -> None:
    assert not board.watch.starved(Exit(SIGKILL))
    board.kernel_kills(1)
    assert board.watch.starved(Exit(SIGKILL))
    assert not board.watch.starved(Exit(0))


@pytest.mark.parametrize(
    ("pss_mb", "was", "tight"), [(84, False, False), (86, False, True), (80, True, True), (74, True, False)]
)
def test_tight_is_over_only_when_there_is_clearly_more(pss_mb: float, *, was: bool, tight: bool) -> None:
    assert is_tight(pss_mb, LIMIT_MB, was=was) is tight
