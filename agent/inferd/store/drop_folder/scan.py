"""Looks at the drop folder: a listing of names and their stat, two folders deep, links never followed, nothing opened.

Looking again every second or two, rather than inotify: it works on NFS, needs no care when the folder is removed and
comes back, and costs little (20 models: 0.1 ms of CPU a look on x86, November 2026).
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from inferd.store.drop_folder.items import FolderEntry, Kind, Listing, passing

ENTRIES_MAX = 1000  # of one folder
ALL_ENTRIES_MAX = 5000
DEPTH = 3  # name/version/file


class TooManyEntries(Exception):
    """The drop folder has more entries than are looked at."""


def look(folder: Path) -> Listing:
    """Return what lies in the drop folder, by path below it.

    A folder in it that has too many entries, or may not be entered, is listed as "crowded" or "closed", without content.

    Raises:
        OSError: the folder is not there, or cannot be read now.
        TooManyEntries: it has more entries than are looked at.
    """
    listing: dict[str, FolderEntry] = {}
    _look(folder, "", 1, listing, ALL_ENTRIES_MAX)
    return listing


def _look(folder: Path, below: str, depth: int, listing: dict[str, FolderEntry], room: int) -> None:
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= ENTRIES_MAX or len(listing) >= room:
                raise TooManyEntries
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # gone since it was listed
                continue
            kind = _kind(found.st_mode)
            path = f"{below}{entry.name}"
            listing[path] = FolderEntry(kind, found.st_size, found.st_mtime_ns, found.st_ino)
            if kind == "folder" and depth < DEPTH and not passing(entry.name):
                _look_into(folder / entry.name, path, depth + 1, listing)


def _look_into(folder: Path, path: str, depth: int, listing: dict[str, FolderEntry]) -> None:
    """Look into a folder of the drop folder; one that is gone holds nothing."""
    inside: dict[str, FolderEntry] = {}
    try:
        _look(folder, f"{path}/", depth, inside, ALL_ENTRIES_MAX - len(listing))
        listing.update(inside)
    except TooManyEntries:
        listing[path] = replace(listing[path], kind="crowded")
    except PermissionError:
        listing[path] = replace(listing[path], kind="closed")
    except (FileNotFoundError, NotADirectoryError):
        return


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"
