"""Where the spool lies."""

from __future__ import annotations

from pathlib import Path

import msgspec

from inferd.config.mqtt import Mqtt


class SpoolLocation(msgspec.Struct, frozen=True):
    """Where a spool lies and how large it may grow.

    Attributes:
        folder: of the segments.
        tail: of what has just come; best in memory that outlives the process.
        limit_bytes: of all segments together.
        commit_s: how long a power cut may reach back.
    """

    folder: Path
    tail: Path
    limit_bytes: int
    commit_s: float


def place_of(settings: Mqtt, folder: Path, tail: Path) -> SpoolLocation | None:
    """Return where the spool of a configuration lies; None where it wants none."""
    return SpoolLocation(folder, tail, settings.spool_mb * 1_000_000, settings.commit_s) if settings.spool_mb else None
