from __future__ import annotations

from datetime import datetime

import pytest

from inferd.config.settings import Schedule
from inferd.tasks.rules.schedule import is_open

WEEK = Schedule(days=("mon", "tue", "wed", "thu", "fri"), begins="07:30", ends="19:00")
NIGHT = Schedule(days=("fri",), begins="22:00", ends="06:00")


def at(text: str) -> float:
    return datetime.fromisoformat(text).astimezone().timestamp()  # 2026-11-20 is a Friday


@pytest.mark.parametrize(
    ("schedule", "time", "expected"),
    [
        (WEEK, "2026-11-20 07:29", False),
        (WEEK, "2026-11-20 07:30", True),
        (WEEK, "2026-11-20 18:59", True),
        (WEEK, "2026-11-20 19:00", False),
        (WEEK, "2026-11-21 12:00", False),
        (NIGHT, "2026-11-20 21:59", False),
        (NIGHT, "2026-11-20 23:00", True),
        (NIGHT, "2026-11-21 05:59", True),
        (NIGHT, "2026-11-21 06:00", False),
        (NIGHT, "2026-11-21 23:00", False),
        (NIGHT, "2026-11-20 05:00", False),
        (Schedule(), "2026-11-21 23:59", True),
    ],
)
def test_a_schedule_is_open_on_its_days_between_its_hours(schedule: Schedule, time: str, *, expected: bool) -> None:
    assert is_open([schedule], at(time)) is expected


def test_several_schedules_add_up() -> None:
    assert is_open([WEEK, NIGHT], at("2026-11-20 12:00"))
    assert is_open([WEEK, NIGHT], at("2026-11-21 02:00"))


def test_without_a_schedule_it_is_always() -> None:
    assert is_open([], 0.0)


def test_while_the_clock_is_not_set_it_is_always() -> None:
    assert is_open([WEEK], 60.0)
