"""The one small file in which the state of models outlives a power cut: checksum in front, the copy before beside it.

A file that is there but damaged (an SD card, an editor) is healed from the copy before; where both are gone, the store
starts anew from the drop folder and says so. A file of a newer inferd is never touched.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inferd.errors import StoreError
from inferd.store.lifecycle.state import SCHEMA_VERSION, LifecycleState
from inferd.store.storage.blobs import store_error
from inferd.system.files.atomic import DISK, Disk, make_folder, remove_unfinished, write_atomic

NAME = "models.json"
BEFORE = "models.before.json"
MAX_BYTES = 16 << 20
HEAD = re.compile(rb"inferd models (\d{1,9}) [0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LoadedState:
    """A state as it was read, and in a sentence what had to be healed for it; "" where nothing had."""

    state: LifecycleState
    healed: str = ""


class StateFile:
    """Owned by control's main thread; no other process writes in its folder."""

    def __init__(self, folder: Path, disk: Disk = DISK) -> None:
        """Use `folder`, and make it where it is missing.

        Raises:
            StoreError: it cannot be made.
        """
        self._path, self._before = folder / NAME, folder / BEFORE
        self._disk = disk
        try:
            make_folder(folder, disk)
        except OSError as exc:
            raise store_error(folder, exc) from exc

    def load(self) -> LoadedState:
        """Return what was saved last.

        Raises:
            StoreError: it was written by a newer inferd, or cannot be read.
        """
        complaints: list[str] = []
        for path in (self._path, self._before):
            try:
                return LoadedState(_decode(path), "; ".join(complaints))
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise store_error(path, exc) from exc
            except ValueError as exc:
                complaints.append(f"{path.name} is damaged ({exc})")
        if complaints:
            complaints.append("what was known of models is lost, and they are tried again")
        return LoadedState(LifecycleState(), "; ".join(complaints))

    def save(self, state: LifecycleState) -> None:
        """Put the state on the disk; when this returns, a power cut does not take it back.

        Raises:
            StoreError: the disk refuses; `load` gives what it gave before.
        """
        content = msgspec.json.format(msgspec.json.encode(state), indent=1)
        try:
            write_atomic(self._path, _head(content) + content, self._disk, before=self._before)
        except OSError as exc:
            raise store_error(self._path, exc) from exc

    def sweep(self) -> None:
        """Remove what a killed agent left unfinished.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            remove_unfinished(self._path.parent, self._disk)
        except OSError as exc:
            raise store_error(self._path, exc) from exc


def _head(content: bytes) -> bytes:
    return f"inferd models {SCHEMA_VERSION} {hashlib.sha256(content).hexdigest()}\n".encode("ascii")


def _decode(path: Path) -> LifecycleState:
    """Read one file.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: it is damaged.
        StoreError: it is of a newer inferd.
    """
    with path.open("rb") as stream:
        head, _, content = stream.read(MAX_BYTES).partition(b"\n")
    newer = HEAD.fullmatch(head)
    if newer and int(newer[1]) > SCHEMA_VERSION:
        raise StoreError(str(path), "was written by a newer inferd; install that one again, or move the file away")
    if head + b"\n" != _head(content):
        raise ValueError("its checksum does not fit")
    try:
        return msgspec.json.decode(content, type=LifecycleState)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
