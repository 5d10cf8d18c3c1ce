"""Children of the command line: what native libraries write to standard error is kept away, unless it matters."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from inferd.control.processes.vet_job import ENVIRONMENT, PRELOAD
from inferd.errors import WorkerError
from inferd.system.processes.fork_server import ForkServer


@contextmanager
def quiet_fork_server() -> Iterator[ForkServer]:
    """Give a fork server whose children's standard error is shown only when one of them fails in a way nobody foresaw."""
    with tempfile.TemporaryFile() as said, ForkServer(PRELOAD, ENVIRONMENT, stderr=said.fileno()) as fork_server:
        try:
            yield fork_server
        except WorkerError:
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace"))
            raise
