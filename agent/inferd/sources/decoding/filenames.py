"""Names of files as text that every message can carry: on disk a name is bytes, and need not be UTF-8."""

from __future__ import annotations

import os
from pathlib import Path


def readable(path: Path | str) -> str:
    """Return a path with a mark in place of each byte that is not UTF-8."""
    return os.fsencode(path).decode(errors="replace")
