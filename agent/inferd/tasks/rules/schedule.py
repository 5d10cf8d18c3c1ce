"""When a pipeline's results count. Rules only: told the wall clock's time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from inferd.config import settings
from inferd.system.clock import EARLIEST_S

MINUTES_A_DAY = 24 * 60


def is_open(schedules: Sequence[settings.Schedule], wall_s: float) -> bool:
    """Whether one of the schedules is open at this time (the device's own time zone); always where there are none.

    Until a board without a clock is told the time nobody knows the hour, and all is open.
    """
    if not schedules or wall_s < EARLIEST_S:
        return True
    now = datetime.fromtimestamp(wall_s, tz=UTC).astimezone()
    return any(_open(schedule, now) for schedule in schedules)


def _open(schedule: settings.Schedule, now: datetime) -> bool:
    """Whether it is open: one that ends before it begins goes on after midnight, and belongs to the day it began on."""
    begins, ends = minutes(schedule.begins), minutes(schedule.ends)
    minute = now.hour * 60 + now.minute
    if begins < ends:
        return begins <= minute < ends and _on(schedule, now)
    return (minute >= begins and _on(schedule, now)) or (minute < ends and _on(schedule, now - timedelta(days=1)))


def _on(schedule: settings.Schedule, day: datetime) -> bool:
    return not schedule.days or settings.DAYS[day.weekday()] in schedule.days


def minutes(text: str) -> int:
    """Return the minutes since midnight that "07:30" means; "24:00" is the end of a day."""
    hours, _, rest = text.partition(":")
    return int(hours) * 60 + int(rest)
