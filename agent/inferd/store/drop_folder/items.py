"""Which models lie in a listing of the drop folder, and what is refused by its name. Pure: a listing in, items out.

cat.tflite  cat.toml  cat_labels.txt  cat.npz     the item "cat", and what may belong to it
cat_edgetpu.tflite                                the item "cat" with cat.tflite as its CPU version; alone "cat_edgetpu"
dog/model.tflite  dog/labels.txt                  the item "dog"
owl/1.2/model.tflite                              the item "owl/1.2", a version of "owl"
cat+small.tflite, dog+int8/model.tflite           the items "cat+small" and "dog+int8", variants of "cat" and "dog"
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inferd.accelerators.table import compiled_stems
from inferd.store.description.bundle import MODELS, PICTURE_SUFFIXES, SUFFIX, SUFFIXES, VERSION, base_of
from inferd.store.description.label_formats import LABEL_SUFFIXES
from inferd.store.formats.bounded_file import MODEL_MAX_BYTES

Kind = Literal["file", "folder", "crowded", "closed", "link", "other"]
NEVER_OPENED: dict[Kind, str] = {
    "link": "is a symbolic link, which is not followed; copy the file itself",
    "other": "is no regular file; remove it",
    "closed": "is a folder that this user may not enter; `chmod a+rx` it",
    "crowded": "is a folder with more entries than are looked at; move what is no model elsewhere",
}
BESIDE = (".toml", ".npz", *LABEL_SUFFIXES, *PICTURE_SUFFIXES)
# What copiers, editors and file managers leave for a moment, or for ever.
PASSING = re.compile(
    r"\..*|~.*|.*~|#.*#|.*\.(part|partial|filepart|crdownload|download|tmp|temp|swp|swx|bak|aria2|unconfirmed)|"
    r"lost\+found|@eaDir|__MACOSX|Thumbs\.db|desktop\.ini|System Volume Information",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One name in the drop folder, by its path below it.

    Attributes:
        kind: what it is; links are not followed.
        size: bytes.
        mtime_ns: when it was written last, by whatever clock the file system has.
        inode: which file it is.
    """

    kind: Kind
    size: int
    mtime_ns: int
    inode: int


Listing = Mapping[str, FolderEntry]


@dataclass(frozen=True, slots=True)
class Item:
    """Something in the drop folder that may be a model.

    Attributes:
        name: what it is called: "cat", "owl/1.2".
        path: its .tflite, or the folder that holds model.tflite, below the drop folder.
        files: all that may belong to it, by path, as they were listed.
    """

    name: str
    path: str
    files: tuple[tuple[str, FolderEntry], ...]

    @property
    def followed(self) -> str:
        """The name by which a pipeline follows it: without version and variant."""
        return followed_name(self.name)

    @property
    def fingerprint(self) -> str:
        """Return a digest that changes when any of its files is written, replaced, added or removed."""
        told = "\n".join(f"{path} {one.size} {one.mtime_ns} {one.inode}" for path, one in self.files)
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def followed_name(item: str) -> str:
    """Return the name by which a pipeline follows an item."""
    return base_of(item.split("/", maxsplit=1)[0])


@dataclass(frozen=True, slots=True)
class ListedItems:
    """What a listing holds: items by name, and what is refused, path → why."""

    items: dict[str, Item]
    refused: dict[str, str]


def passing(name: str) -> bool:
    """Whether a name is that of a hidden, temporary or system file, which is left alone."""
    return PASSING.fullmatch(name) is not None


def find_items(listing: Listing) -> ListedItems:
    """Find the models of a listing."""
    complaints = {path: why for path, entry in listing.items() if (why := _complaint(path, entry))}
    refused = {path: why for path, why in complaints.items() if not _is_in(path.rpartition("/")[0], complaints)}
    files = {
        path: entry for path, entry in sorted(listing.items()) if entry.kind == "file" and not _is_in(path, refused)
    }
    items = _lying_open(files) + _in_folders(files)
    refused |= _overlooked(files, items)
    return ListedItems({item.name: item for item in items}, refused)


def _is_in(path: str, refused: Mapping[str, str]) -> bool:
    """Whether a path, or a folder on the way to it, is refused."""
    parts = path.split("/")
    return any("/".join(parts[:end]) in refused for end in range(1, len(parts) + 1))


def _overlooked(files: Mapping[str, FolderEntry], items: Sequence[Item]) -> dict[str, str]:
    """Return why models that lie in folders are no items: the file or its folder is called otherwise than they must be."""
    taken = {path.rpartition("/")[0] for item in items for path, _ in item.files}
    overlooked: dict[str, str] = {}
    for path in files:
        folder, _, name = path.rpartition("/")
        if not folder or folder in taken or not name.endswith(SUFFIXES):
            continue
        if name in MODELS:
            overlooked[folder] = "is no version of a model by its name; call it 1.2, 2.0.1-rc1 or 2026-12-01"
        else:
            overlooked[path] = f"is not looked at; in a folder of its own a model is called {' or '.join(MODELS)}"
    return overlooked


def _complaint(path: str, entry: FolderEntry) -> str:
    """Return why this is never opened; "" where it may be."""
    if not path.isprintable():  # in the name of a folder, too
        return "has a name that is not plain UTF-8 text; rename it"
    if entry.kind in NEVER_OPENED:
        return NEVER_OPENED[entry.kind]
    if entry.kind == "file" and path.endswith(SUFFIXES) and entry.size > MODEL_MAX_BYTES:
        return f"has {entry.size:,} bytes, more than the {MODEL_MAX_BYTES:,} that inferd opens"
    return ""


def _lying_open(files: Mapping[str, FolderEntry]) -> list[Item]:
    """Return the models that lie in the drop folder itself."""
    here = {path: entry for path, entry in files.items() if "/" not in path}
    models = {path.rpartition(".")[0]: path for path in here if path.endswith(SUFFIXES)}
    for stem in [stem for stem, path in models.items() if path.endswith(SUFFIX)]:
        compiled = [models.pop(one) for one in compiled_stems(stem) if one in models]
        if compiled:
            models[stem] = compiled[0]  # the CPU version is found beside it, and serves without the accelerator
    belongs = {path: _owner(path, set(models)) for path in here if path.endswith((*SUFFIXES, *BESIDE))}
    return [
        Item(stem, path, tuple((one, here[one]) for one, owner in belongs.items() if owner in (stem, "")))
        for stem, path in sorted(models.items())
    ]


def _owner(path: str, stems: set[str]) -> str:
    """Return the longest stem that the name begins with, "" for a file that may belong to all."""
    fitting = [stem for stem in stems if path.startswith((f"{stem}.", f"{stem}_"))]
    return max(fitting, key=len, default="")


def _in_folders(files: Mapping[str, FolderEntry]) -> list[Item]:
    """Return the models that have a folder of their own, with or without a version."""
    folders = dict.fromkeys(path.rpartition("/")[0] for path in files if path.rpartition("/")[2] in MODELS)
    return [
        Item(folder, folder, tuple((path, entry) for path, entry in files.items() if path.rpartition("/")[0] == folder))
        for folder in folders
        if folder and ("/" not in folder or VERSION.fullmatch(folder.rsplit("/", maxsplit=1)[-1]))
    ]
