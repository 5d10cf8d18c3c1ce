"""The system that is installed to: its files below a root, and its programs."""

from __future__ import annotations

import grp
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from inferd.errors import InferdError

COMMAND_S = 120.0
SYSTEMD_RUNS = Path("/run/systemd/system")


class Run(Protocol):
    """Runs a program to its end."""

    def __call__(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """Return how it ended and what it wrote; a program that is missing ends with 127."""


def run_program(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a program of the system."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_S)  # noqa: S603 - the commands in installing.py
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"did not end in {COMMAND_S:.0f} s")


class Host:
    """Files below `root`, and programs that work on it. What changes is told to `tell`."""

    def __init__(self, root: Path, run: Run, tell: Callable[[str], None]) -> None:
        """Work on the system below `root`; "/" is this one."""
        self.root = root
        self._run = run
        self._tell = tell
        self.changed = False

    @property
    def here(self) -> bool:
        """Whether this is the system we run on, and not an image of one."""
        return self.root == Path("/")

    @property
    def booted(self) -> bool:
        """Whether this system's systemd is there to be told."""
        return self.here and SYSTEMD_RUNS.is_dir()

    def path(self, path: Path) -> Path:
        """Return where an absolute path of the system lies for us."""
        return self.root / path.relative_to("/")

    def place(self, path: Path, text: str, mode: int) -> None:
        """Write a file unless it is there and the same."""
        where = self.path(path)
        if where.is_file() and where.read_text() == text:
            return
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)
        where.chmod(mode)
        self.told(f"written: {path}")

    def link(self, path: Path, target: Path) -> None:
        """Make a symbolic link, unless something else is there."""
        where = self.path(path)
        if where.is_symlink() and where.readlink() == target:
            return
        if where.exists() or where.is_symlink():
            self._tell(f"left alone: {path} is not ours")
            return
        where.parent.mkdir(parents=True, exist_ok=True)
        where.symlink_to(target)
        self.told(f"linked: {path} to {target}")

    def remove(self, path: Path) -> None:
        """Remove a file, a link or a folder with all that is in it, if it is there."""
        where = self.path(path)
        if where.is_symlink() or where.is_file():
            where.unlink()
        elif where.is_dir():
            shutil.rmtree(where)
        else:
            return
        self.told(f"removed: {path}")

    def told(self, what: str) -> None:
        """Tell of a change."""
        self.changed = True
        self._tell(what)

    def must(self, *command: str) -> str:
        """Run a program that has to succeed, and return what it wrote.

        Raises:
            InferdError: it did not.
        """
        ended = self._run(command)
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip() or f"ended with exit code {ended.returncode}"
            raise InferdError(" ".join(command), said)
        return ended.stdout

    def may(self, *command: str) -> bool:
        """Run a program that may fail or be missing; return whether it succeeded."""
        return self._run(command).returncode == 0

    def has_group(self, name: str) -> bool:
        """Whether there is such a group."""
        if self.here:
            return name in {group.gr_name for group in grp.getgrall()}
        file = self.path(Path("/etc/group"))
        return file.exists() and any(line.startswith(f"{name}:") for line in file.read_text().splitlines())
