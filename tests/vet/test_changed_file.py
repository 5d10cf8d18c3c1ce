"""A file that changes between being listed and being vetted is looked at again, and not judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.models.vet_runs import digits
from inferd import ipc
from inferd.config import settings
from inferd.control.models.engine_keys import release
from inferd.control.processes.vet_job import Accepted, Rejected, examine
from inferd.system.processes.fork_server import ForkServer

pytestmark = pytest.mark.slow


def listed(file: Path) -> ipc.Listed:
    found = file.stat()
    return ipc.Listed(str(file), found.st_size, found.st_mtime_ns, found.st_ino)


def vet(fork_server: ForkServer, folder: Path, model: Path, files: tuple[ipc.Listed, ...]) -> Accepted | Rejected:
    request = ipc.Examine(
        str(model), settings.Overrides(), settings.EngineConfig(), str(folder / "state"), gates=True, files=files
    )
    return examine(fork_server, request, 30.0)


def test_a_file_that_is_as_it_was_listed_is_judged(fork_server: ForkServer, tmp_path: Path) -> None:
    model = digits(tmp_path)
    verdict = vet(fork_server, tmp_path, model, (listed(model / "model.tflite"),))
    assert isinstance(verdict, Accepted)
    release(verdict)


def test_a_file_that_was_written_since_it_was_listed_is_vetted_again(fork_server: ForkServer, tmp_path: Path) -> None:
    model = digits(tmp_path)
    before = listed(model / "model.tflite")
    os.utime(model / "model.tflite", ns=(before.mtime_ns + 1_000_000, before.mtime_ns + 1_000_000))
    verdict = vet(fork_server, tmp_path, model, (before,))
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.again) == ("changed", True)
