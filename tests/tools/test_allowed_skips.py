"""The list of tests that may skip in CI."""

from __future__ import annotations

from fixtures.allowed_skips import not_listed, read_list
from fixtures.paths import PROJECT

LISTED = {"tests/a.py": "no camera", "tests/b.py::test_one": "no microphone"}


def test_a_listed_file_and_a_listed_test_with_any_parameter_may_skip() -> None:
    assert not_listed(["tests/a.py::test_x[1]", "tests/a.py", "tests/b.py::test_one[usb-2]"], LISTED) == []


def test_any_other_skip_is_named() -> None:
    assert not_listed(["tests/b.py::test_two[1]", "tests/c.py"], LISTED) == ["tests/b.py::test_two[1]", "tests/c.py"]


def test_each_entry_of_the_list_is_a_test_with_a_reason() -> None:
    for entry, reason in read_list().items():
        file, _, test = entry.partition("::")
        text = (PROJECT / file).read_text()
        assert not test or f"def {test}(" in text, entry
        assert len(reason) > len("not here"), entry
