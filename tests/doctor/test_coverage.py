"""No check without a test that sees it speak."""

from __future__ import annotations

from pathlib import Path

from inferd.doctor.registry import CHECKS

FOLDER = Path(__file__).parent


def test_every_check_is_provoked_by_a_test() -> None:
    told = "\n".join(file.read_text() for file in FOLDER.rglob("test_*.py"))
    assert [check.id for check in CHECKS if f'"{check.id}"' not in told] == []
