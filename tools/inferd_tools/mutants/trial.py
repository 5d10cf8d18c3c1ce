"""Runs tests on a copy of the package with one fault in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[3]
TEST_S = 60.0
"""A test that takes longer sees the fault by a wait that does not end."""
NOT_RUN = {4, 5}
"""Exit codes of pytest: it was called wrongly, or found no test. With any other but 0 a test failed, or ended the process."""
Outcome = Literal["killed", "survived", "not run"]


@dataclass(frozen=True, slots=True)
class MutantTrial:
    """What the tests said of a fault, and how long they took."""

    outcome: Outcome
    took_s: float
    output: str


class Copy:
    """A copy of the package beside links to what it needs. Owned by one thread."""

    def __init__(self, folder: Path) -> None:
        self._package = folder / "agent" / "inferd"
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "agent"), str(ROOT / "tools"), str(ROOT / "tests")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "agent" / "inferd", self._package, ignore=ignored)
        for name in ("models", "systemd"):
            (folder / name).symlink_to(ROOT / name)

    def read(self, file: str) -> bytes:
        """Return a module's source."""
        return (self._package / file).read_bytes()

    def run(
        self, file: str, source: bytes, tests: Sequence[str], limit_s: float, marks: str = "", **more: str
    ) -> MutantTrial:
        """Run tests with another source of one module, which is put back afterwards."""
        path = self._package / file
        before = path.read_bytes()
        path.write_bytes(source)
        try:
            return self._pytest(["-m", marks or "not soak", *tests], limit_s, more)
        finally:
            path.write_bytes(before)

    def _pytest(self, arguments: Sequence[str], limit_s: float, more: dict[str, str]) -> MutantTrial:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["--timeout", str(TEST_S), *arguments]
        begins = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, by a list of arguments
                command,
                cwd=ROOT,
                env={**self._environment, **more},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
                code = 1
            output.seek(0)
            text = output.read()
        outcome: Outcome = "survived" if code == 0 else "not run" if code in NOT_RUN else "killed"
        return MutantTrial(outcome, time.monotonic() - begins, text)


@contextmanager
def copy_of_the_package() -> Iterator[Copy]:
    """Give a copy that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="inferd-mutants-") as folder:
        yield Copy(Path(folder))
