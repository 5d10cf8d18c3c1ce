from __future__ import annotations

import json
import logging
import os

from inferd.system.journal import JournalFormatter, formatter


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("inferd.link", logging.WARNING, __file__, 1, message, arguments, None)


def test_a_record_is_one_line_of_json_whatever_it_says() -> None:
    line = formatter("", "json").format(record('said "%s"', "a\nb"))
    told = json.loads(line)
    assert "\n" not in line
    assert (told["level"], told["logger"], told["message"]) == ("warning", "inferd.link", 'said "a\nb"')


def test_a_foreign_name_in_a_record_is_escaped() -> None:
    line = formatter("", "json").format(record("refused: %s", os.fsdecode(b"f\xfcr.txt")))
    assert json.loads(line.encode())["message"] == "refused: f\\xfcr.txt"


def test_json_goes_before_the_journal_and_the_journal_before_people() -> None:
    assert isinstance(formatter("8:1"), JournalFormatter)
    assert not isinstance(formatter("8:1", "json"), JournalFormatter)
    assert formatter("").format(record("so")) == "WARNING so"
