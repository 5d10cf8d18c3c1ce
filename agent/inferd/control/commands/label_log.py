"""The label log: what people say frames show. Appended to, and bounded; nothing else happens by it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from inferd.errors import StoreError
from inferd.wire.requests import LabelArguments

FILE = "labels.jsonl"
OLD_FILE = "labels.old.jsonl"
MOST_BYTES = 1_000_000  # of each of the two files; the older half of all labels goes when both are full


class LabelLine(msgspec.Struct, frozen=True):
    """A line of the log: when it was said, and what."""

    time: str
    said: LabelArguments


class LabelLog:
    """Owned by control's main thread."""

    def __init__(self, state_dir: Path) -> None:
        """Append to a file in this folder; it is made with the first label."""
        self._file = state_dir / FILE
        self._old_file = state_dir / OLD_FILE

    def append(self, time: str, said: LabelArguments) -> None:
        """Append a label.

        Raises:
            StoreError: the disk refuses, or it is not said what the label is about.
        """
        if not (said.sample or (said.boot_id and said.seq)):
            raise StoreError("label", "name a result by its boot_id and seq, or a sample")
        line = msgspec.json.encode(LabelLine(time, said)) + b"\n"
        try:
            if self._file.exists() and self._file.stat().st_size + len(line) > MOST_BYTES:
                self._file.replace(self._old_file)
            with open(self._file, "ab", opener=_private) as file:
                file.write(line)
        except OSError as exc:
            raise StoreError(str(self._file), f"a label cannot be written ({exc.strerror}); free some room") from exc


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
