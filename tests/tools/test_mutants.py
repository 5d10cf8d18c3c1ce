from __future__ import annotations

import ast

import pytest

from inferd_tools.mutants.generate import Mutant, mutants
from inferd_tools.mutants.table import AREAS, CONTROLS, Area, Control
from inferd_tools.mutants.trial import ROOT

PACKAGE = ROOT / "agent" / "inferd"
SOURCE = b'''"""A module."""
LIMIT = 3


class Queue:
    """With \xc3\xbcmlauts before the code."""

    def put(self, items: list[int], most: int = 5) -> int:
        """Add items."""
        if len(items) >= most and not self.full:
            log.info("no room for %d", len(items) - most)
            raise ValueError("full" if most > 1 else "")
        self.items.extend(items)
        for one in items:
            if one is None:
                continue
        return min(len(items), most + 1)
'''


def found(kind: str) -> list[Mutant]:
    return [one for one in mutants("queue.py", SOURCE) if one.kind == kind]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("boundary", [("len(items) >= most", "len(items) > most")]),
        ("negate", [("one is None", "one is not None")]),
        ("not", [("not self.full", "(self.full)")]),
        ("logic", [("len(items) >= most and not self.full", "(((len(items) >= most)) or (not self.full))")]),
        ("call", [("self.items.extend(items)", "pass")]),
        ("raise", [('raise ValueError("full" if most > 1 else "")', "pass")]),
        ("jump", [("continue", "pass")]),
        ("swap", [("min", "max")]),
        ("arithmetic", [("most + 1", "(most) - (1)")]),
        ("guard", [("len(items) >= most and not self.full", "False"), ("one is None", "False")]),
    ],
)
def test_each_kind_of_fault_changes_one_place(kind: str, expected: list[tuple[str, str]]) -> None:
    assert [(one.old, one.new) for one in found(kind)] == expected


def test_a_mutant_is_named_by_function_kind_and_number() -> None:
    assert found("guard")[1].name == "queue.py::Queue.put::guard#2"


@pytest.mark.slow
@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.modules[0])
def test_every_mutant_of_every_area_is_python(area: Area) -> None:
    for file in area.files(PACKAGE):
        source = (PACKAGE / file).read_bytes()
        for one in mutants(file, source):
            changed = one.apply(source)
            assert changed != source
            ast.parse(changed)


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.modules[0])
def test_every_area_has_modules_and_tests(area: Area) -> None:
    assert area.files(PACKAGE)
    assert all((ROOT / test).exists() for test in area.tests)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_what_a_control_takes_away_is_still_there(control: Control) -> None:
    control.apply((PACKAGE / control.file).read_text())
    file, _, function = control.test.partition("::")
    assert f"def {function.partition('[')[0]}(" in (ROOT / file).read_text()
