"""What the spool has taken and not yet put on the disk: written at once, never synced, so that it outlives a kill.

Under systemd it lies in /run, which is memory: it costs the SD card nothing, and a power cut takes it. Two files take
turns: while one is being committed, the other takes what comes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from inferd.system.files.append_only import AppendFile
from inferd.system.files.atomic import DISK, Disk, make_folder
from inferd.telemetry.spool.record_codec import Delivered, Item, Record, frame, parse

MAX_BYTES = 4 << 20  # of each file; reached only where nothing can be committed for long
NAMES = ("tail-0", "tail-1")


class WriteAhead:
    """Never raises: where it cannot be written, there is none, and `fault` says why."""

    def __init__(self, folder: Path, disk: Disk = DISK) -> None:
        """Use two files in `folder`; what they held before is in `records` and `delivered`."""
        self.fault = ""
        self.records: dict[int, Record] = {}
        self.delivered: set[int] = set()
        self._files: list[AppendFile] = []
        try:
            make_folder(folder, disk)
            for name in NAMES:
                self._read(folder / name)
            self._files = [AppendFile(folder / name, disk) for name in NAMES]
        except OSError as exc:
            self.fault = f"{folder} cannot be written ({exc.strerror})"

    def add(self, item: Item) -> None:
        """Write an item behind the others."""
        if not self._files or self._files[0].size_bytes > MAX_BYTES:
            return
        try:
            self._files[0].append(frame(item))
        except OSError as exc:
            self.fault = f"{self._files[0].path} cannot be written ({exc.strerror})"
            self._cut(self._files[0])

    def turn_over(self) -> None:
        """Begin a commit: what comes from now on goes into the other file, if that is empty."""
        if self._files and not self._files[1].size_bytes:
            self._files.reverse()

    def committed(self) -> None:
        """End a commit: what had been written before it began is on the disk by other means."""
        if self._files:
            self._empty(self._files[1])

    def clear(self) -> None:
        """Forget everything: nothing of it is wanted any more."""
        for file in self._files:
            self._empty(file)

    def close(self) -> None:
        """Let go of the files; their content stays. Idempotent."""
        for file in self._files:
            file.close()
        self._files = []

    def _read(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes()
            items, whole_bytes, _ = parse(content)
            self.records.update({item.number: item for item in items if isinstance(item, Record)})
            self.delivered.update(item.number for item in items if isinstance(item, Delivered))
            if whole_bytes < len(content):
                path.write_bytes(content[:whole_bytes])

    def _empty(self, file: AppendFile) -> None:
        if file.size_bytes:
            try:
                file.empty()
            except OSError as exc:
                self.fault = f"{file.path} cannot be emptied ({exc.strerror})"

    def _cut(self, file: AppendFile) -> None:
        """Take away half a frame, which would hide what follows it."""
        with contextlib.suppress(OSError):
            file.cut_back()
