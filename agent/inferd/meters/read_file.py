"""Small files of /sys that are read once."""

from __future__ import annotations

from pathlib import Path


def text(path: Path) -> str:
    """Return the stripped content of a file; "" if it cannot be read."""
    try:
        return path.read_text().strip("\0\n ")
    except (OSError, UnicodeDecodeError):
        return ""
