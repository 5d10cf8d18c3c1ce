"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inferd.control.processes.vet_job import ENVIRONMENT, PRELOAD
from inferd.system.processes.fork_server import ForkServer


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    """Give a fork server for vet children."""
    with ForkServer(PRELOAD, ENVIRONMENT) as started:
        yield started
