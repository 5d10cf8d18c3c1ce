"""Hints for the shell: `inferd` is written the way it was called, so that a hint can be pasted."""

from __future__ import annotations

import re
import shutil
import sys
from functools import cache
from pathlib import Path

COMMAND = re.compile(
    r"(?<![\w./-])inferd(?= (?:run|demo|infer|snapshot|models|vet|config|init|status|watch|ask|doctor|selftest"
    r"|support-bundle|install|uninstall|version)\b)"
)


@cache
def program(started_as: str) -> str:
    """Return how one calls `inferd` here: by name if the shell finds it, else by the path it was started with."""
    found = shutil.which("inferd")
    if found and Path(found).resolve() == Path(started_as).resolve():
        return "inferd"
    if Path(started_as).name == "inferd":
        return started_as
    return f"{sys.executable} -m inferd"


def as_called(text: str) -> str:
    """Return a text in which each command of inferd can be pasted into the shell."""
    return COMMAND.sub(lambda _: program(sys.argv[0]), text)
