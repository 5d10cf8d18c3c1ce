from __future__ import annotations

import json

import pytest

from inferd.cli.format_results import Repeats, line_of

TIMING = {"timing_ms": {"total": 28.7}}
PERSON, CAR = ({"id": 0, "label": label, "score": 0.9, "box": [0, 0, 1, 1]} for label in ("person", "car"))


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (
            {"boxes": [PERSON] * 7 + [CAR], "zones": {"door": {"count": 6}}},
            "street person 7, car 1 | door 6 | 29 ms",
        ),
        ({"boxes": [], "lines": {"gate": {"in": 3, "out": 1}}}, "street nothing | gate 3 in, 1 out | 29 ms"),
        ({"labels": [{"id": 1, "label": "cat", "score": 0.934}]}, "street cat 0.93 | 29 ms"),
        ({"labels": []}, "street nothing | 29 ms"),
        ({"score": 0.4567}, "street score 0.457 | 29 ms"),
        ({"values": [{"name": "level", "value": 3.25, "unit": "m"}]}, "street level 3.25 m | 29 ms"),
        ({"mask": {"shape": [2, 2], "labels": {"road": 0.63}}}, "street road 63% | 29 ms"),
        ({"embedding": [0.1, 0.2]}, "street 2 numbers | 29 ms"),
        ({"keypoints": [[0, 0, 1]] * 17}, "street 17 points | 29 ms"),
    ],
)
def test_a_result_is_a_line_for_people(result: dict[str, object], line: str) -> None:
    assert line_of(json.dumps({"pipeline": "street", **result, **TIMING}).encode()).decode() == line


def test_what_is_no_result_is_printed_as_it_is() -> None:
    assert line_of(b"\xff") == b"\xff"
    assert line_of(b"[]") == b"[]"


def test_a_sentence_that_repeats_is_printed_once_and_counted() -> None:
    repeats, printed = Repeats(), list[str]()
    for row in range(509):
        printed += repeats.lines(f"a.csv: line {row} has 2 values, not 3")
    printed += [*repeats.lines("b.csv: no such file"), *repeats.rest()]
    assert printed == ["a.csv: line 0 has 2 values, not 3", "508 more like this", "b.csv: no such file"]
