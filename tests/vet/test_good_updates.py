"""Updates that are as good as what serves: all pass, else people stop believing refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fixtures.models.good_updates import Update, good_updates
from fixtures.models.vet_runs import code, vetted
from inferd.system.processes.fork_server import ForkServer

pytestmark = pytest.mark.slow

SHORT = 9  # each ninth of them is tried by `make test`


def refused(fork_server: ForkServer, folder: Path, updates: Sequence[Update]) -> list[str]:
    """Return what was refused of these updates, and for what."""
    found = []
    for number, update in enumerate(updates):
        made = folder / str(number)
        made.mkdir()
        old, new = update.make(made)
        report = vetted(fork_server, folder / "state", new, old)
        if code(report) != "accepted":
            found.append(f"{update.name}: {report.failed}")
    return found


def test_there_are_two_hundred() -> None:
    names = [update.name for update in good_updates()]
    assert len(names) == len(set(names)) >= 200


@pytest.mark.timeout(240)
def test_good_updates_pass(fork_server: ForkServer, tmp_path: Path) -> None:
    assert refused(fork_server, tmp_path, good_updates()[::SHORT]) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_all_two_hundred_good_updates_pass(fork_server: ForkServer, tmp_path: Path) -> None:
    assert refused(fork_server, tmp_path, good_updates()) == []
