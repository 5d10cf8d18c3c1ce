"""A board without a clock: what is said before the time is known is marked, and that the time came is told."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inferd.config import settings
from inferd.control.reporting.clock_watch import ClockWatch
from inferd.control.reporting.publisher import Publisher
from inferd.ipc import ResultReported
from inferd.records import Label, ModelRef, Result, StageTimes, Tick
from inferd.system.clock import CountingClock
from inferd.telemetry.memory_link import MemoryLink

NOW_S = 1_795_000_000.0


class Board:
    """A device that starts at some wall time, and what it says."""

    def __init__(self, wall_s: float) -> None:
        self.clock = CountingClock(wall_s=wall_s)
        self.link = MemoryLink(settings.Mqtt(), "pi")
        self.say = Publisher("pi", [self.link], self.clock)
        self.timesync = True
        self.keeper = ClockWatch(self.say, self.clock, lambda wall_s: wall_s < 1e9 or not self.timesync)

    def turn(self) -> None:
        """Let a second pass."""
        self.clock.advance(1.0)
        self.keeper.turn()

    def said(self) -> list[Mapping[str, object]]:
        """Return all messages so far."""
        return [msgspec.json.decode(heard.payload) for heard in self.link.heard if heard.payload.startswith(b"{")]

    def events(self) -> list[str]:
        """Return the kinds of all events so far."""
        return [str(message["kind"]) for message in self.said() if "kind" in message]


def test_a_time_of_1970_is_marked_and_a_right_one_is_not() -> None:
    early, late = Board(5.0), Board(NOW_S)
    for board in (early, late):
        board.say.event("agent.started", "info", "starts")
    assert early.said()[0]["unsynchronised"] is True
    assert "unsynchronised" not in late.said()[0]


def test_that_the_time_came_is_told_with_what_to_add() -> None:
    board = Board(5.0)
    board.turn()
    board.clock.set_wall(NOW_S)
    board.turn()
    was_set = board.said()[0]
    assert board.events() == ["clock.set", "clock.synchronised"]
    assert was_set["data"] == {"by_s": NOW_S - 6.0}
    assert "unsynchronised" not in was_set


def test_a_likely_time_is_marked_until_it_is_confirmed() -> None:
    board = Board(NOW_S)
    board.timesync = False
    board.turn()
    board.say.event("agent.started", "info", "starts")
    board.timesync = True
    board.turn()
    assert [message.get("unsynchronised") for message in board.said()] == [True, None]
    assert board.events() == ["agent.started", "clock.synchronised"]


def test_a_frame_from_before_the_time_came_is_marked_though_it_is_told_after() -> None:
    board = Board(5.0)
    board.clock.set_wall(NOW_S)
    board.turn()
    board.say.result(reported(taken_at=6.0), "classify")
    board.say.result(reported(taken_at=NOW_S + 1.0), "classify")
    assert [message.get("unsynchronised") for message in board.said()[-2:]] == [True, None]


def test_a_clock_that_is_set_back_by_hours_is_told_and_stays_trusted() -> None:
    board = Board(NOW_S)
    board.clock.set_wall(NOW_S - 7200.0)
    board.turn()
    assert board.events() == ["clock.set"]
    assert board.say.trusted_since == 0.0


def reported(taken_at: float) -> ResultReported:
    """Return a result of a frame that was captured then."""
    result = Result(labels=(Label(0, "cat", 0.9),))
    tick = Tick(result, StageTimes(0, 0, 0, 0, 0, 0), 1, taken_at)
    return ResultReported("cam", ModelRef("cats", "", "0" * 64), tick)
