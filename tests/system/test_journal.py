"""Log lines as the journal wants them."""

from __future__ import annotations

import logging

from inferd.system.journal import formatter


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("inferd", level, "file", 1, text, (), None)


def test_the_journal_is_told_the_priority_of_every_line() -> None:
    assert formatter("9:1234").format(record(logging.ERROR, "first\nsecond")) == "<3>first\n<3>second"


def test_a_person_reads_the_level() -> None:
    assert formatter("").format(record(logging.WARNING, "model refused")) == "WARNING model refused"
