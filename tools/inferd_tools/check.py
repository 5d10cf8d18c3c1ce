"""`make check`: all that must be right before a change goes in, each step timed; the first that fails is shown whole.

Steps that do not depend on each other run two at a time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
CODE = ("agent", "tools", "tests")


@dataclass(frozen=True, slots=True)
class CheckStep:
    """A command that must end with exit code 0."""

    name: str
    command: tuple[str, ...]


STEPS = (  # the longest first
    CheckStep("fast tests", (sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not slow and not soak")),
    CheckStep("types", (str(BIN / "mypy"),)),
    CheckStep("format", (str(BIN / "ruff"), "format", "--check", *CODE)),
    CheckStep("lint", (str(BIN / "ruff"), "check", *CODE)),
    CheckStep("floors", (str(BIN / "lint-imports"),)),
    CheckStep("locks", (sys.executable, "-m", "inferd_tools.locks", "--check")),
    CheckStep("docs", (sys.executable, "-m", "inferd_tools.docs", "--check")),
)


def main() -> int:
    """Run all steps; return 1 where one failed."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return max(pool.map(_run, STEPS))


def _run(step: CheckStep) -> int:
    started = time.monotonic()
    done = subprocess.run(step.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603 - the commands above
    verdict = "ok" if done.returncode == 0 else "FAILED"
    said = "" if done.returncode == 0 else f"\n{done.stdout.strip()}"
    print(f"{step.name:<12} {verdict:<7} {time.monotonic() - started:5.1f} s{said}", flush=True)
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
