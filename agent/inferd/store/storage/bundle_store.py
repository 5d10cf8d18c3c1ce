"""Models with all their files, never overwritten: `bundles/<digest>/...`, hard links into `blobs/`.

A bundle keeps the names its files had, because names say what belongs together and what the model is called. It is
built under a temporary name, described there, and only then renamed: what serves is what was vetted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inferd.errors import ModelError, StoreError
from inferd.store.description.bundle import VARIANT_MARK, Bundle, find_bundle, golden_files
from inferd.store.description.manifest_file import MANIFEST_MAX_BYTES, parse_manifest
from inferd.store.formats.bounded_file import read_small
from inferd.store.storage.blobs import Blobs, store_error
from inferd.system.files.atomic import DISK, UNFINISHED, Disk, clear_away, make_folder, put, sync_folder

RESERVE_BYTES = 32 << 20  # left free for logs, the state file and the broker's spool


@dataclass(frozen=True, slots=True)
class StagedBundle:
    """A bundle that was copied and waits to be put into its place.

    Attributes:
        folder: where it lies for now.
        root: below it, what `describe` is given.
        size_bytes: of all its files.
    """

    folder: Path
    root: str
    size_bytes: int

    @property
    def path(self) -> Path:
        """What `describe` is given."""
        return self.folder / self.root


class BundleStore:
    """The store's folder of bundles. Any number of processes may add; only control removes."""

    def __init__(self, state_dir: Path, disk: Disk = DISK) -> None:
        """Use `state_dir`, and make in it what is missing.

        Raises:
            StoreError: it cannot be made.
        """
        self._root = state_dir / "bundles"
        self._blobs = Blobs(state_dir / "blobs", disk)
        self._disk = disk
        try:
            make_folder(self._root, disk)
        except OSError as exc:
            raise store_error(self._root, exc) from exc

    def path(self, digest: str, root: str = "") -> Path:
        """Return where a bundle lies, or would lie; with `root`, what `describe` is given."""
        return self._root / self._blobs.path(digest).name / root

    def has(self, digest: str) -> bool:
        """Whether the store has a bundle."""
        return self.path(digest).is_dir()

    @contextmanager
    def copy(self, source: Path, *, no_links: bool = False) -> Iterator[StagedBundle]:
        """Give a copy of the model at `source` and of all that belongs to it; what is not `put` is removed.

        With `no_links`, no file of it may be a symbolic link: who may drop a model may not read what inferd can.

        Raises:
            ModelError: a file is missing, no regular file, too large, or changes while it is read.
            StoreError: the disk refuses, or is nearly full.
        """
        bundle = find_bundle(source)
        files = _files(bundle, no_links=no_links)
        self._require_room(sum(file.stat().st_size for file in files))
        try:
            folder = self._disk.create_folder(self._root)
        except OSError as exc:
            raise store_error(self._root, exc) from exc
        try:
            yield self._fill(folder, bundle, files, no_links=no_links)
        finally:
            clear_away(folder, self._disk)

    def put(self, copied: StagedBundle, digest: str) -> Path:
        """Put a copy into its place and return what `describe` is given; a bundle that is there already is repaired by it.

        It may be the one that serves, so it is never away: file by file is replaced where it has the same names.

        Raises:
            StoreError: the disk refuses.
        """
        place = self.path(digest)
        try:
            if place.is_dir() and _names(place) == _names(copied.folder):
                self._repair(copied.folder, place)
            else:
                self._put(copied.folder, place)
        except OSError as exc:
            raise store_error(place, exc) from exc
        return place / copied.root

    def _repair(self, folder: Path, place: Path) -> None:
        for name in _names(folder):
            put(folder / name, place / name, self._disk)

    def _put(self, folder: Path, place: Path) -> None:
        """Put a folder into its place; where the same model is there under other names, that makes room for it.

        Raises:
            OSError: the disk refuses; what was there still is.
        """
        aside = place.with_name(f"{UNFINISHED}{place.name}")
        clear_away(aside, self._disk)
        is_there = place.is_dir()
        if is_there:
            self._disk.rename(place, aside)
        try:
            put(folder, place, self._disk)
        except OSError:
            if is_there and not place.exists():
                aside.rename(place)
            raise
        clear_away(aside, self._disk)

    def remove(self, digest: str) -> None:
        """Remove a bundle; its blobs go with `sweep`. Idempotent."""
        clear_away(self.path(digest), self._disk)

    def sweep(self, known: frozenset[str]) -> None:
        """Remove bundles that are not known, copies that were never finished, and blobs of neither. Only while none is added.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            for folder in self._root.iterdir():
                if folder.name not in known:
                    clear_away(folder, self._disk)
            self._blobs.sweep()
            self._blobs.remove_unlinked()
        except OSError as exc:
            raise store_error(self._root, exc) from exc

    def _fill(self, folder: Path, bundle: Bundle, files: list[Path], *, no_links: bool) -> StagedBundle:
        root = _root(bundle)
        inside = folder / root if not root.endswith(bundle.model.name) else folder
        size_bytes = 0
        try:
            self._disk.make(inside)
            for file in files:
                blob = self._blobs.add(file, no_links=no_links)
                self._disk.link(blob.path, inside / file.name)
                size_bytes += blob.size_bytes
            for made in (inside, *inside.parents):
                sync_folder(made, self._disk)
                if made == folder:
                    break
        except OSError as exc:
            raise store_error(folder, exc) from exc
        return StagedBundle(folder, root, size_bytes)

    def _require_room(self, size_bytes: int) -> None:
        free = shutil.disk_usage(self._root).free
        if free < size_bytes + RESERVE_BYTES:
            raise StoreError(
                str(self._root),
                f"has {free / 1e6:.0f} MB left, and {(size_bytes + RESERVE_BYTES) / 1e6:.0f} MB are needed;"
                " make room, or move state_dir",
            )


def _root(bundle: Bundle) -> str:
    """Return how a bundle's model is named below its folder, so that it is still called the same."""
    if bundle.model.stem != "model":
        return bundle.model.name
    variant = f"{VARIANT_MARK}{bundle.variant}" if bundle.variant else ""
    return f"{bundle.title}{variant}/{bundle.version}".rstrip("/")


def _names(folder: Path) -> set[Path]:
    """Return the files of a bundle, below its folder."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def _files(bundle: Bundle, *, no_links: bool) -> list[Path]:
    """Return the model and all that belongs to it: what lies beside it, and what its manifest names.

    Raises:
        ModelError: the manifest is wrong.
    """
    files = [bundle.model, *bundle.labels]
    if bundle.manifest is not None:
        files.append(bundle.manifest)
        said = parse_manifest(bundle.manifest.name, read_small(bundle.manifest, MANIFEST_MAX_BYTES, no_links=no_links))
        named = (said.output.labels, said.model.twin, *golden_files(said))
        files += [bundle.model.parent / name for name in named if isinstance(name, str)]
        for picture in said.golden.pictures or ():
            if not (bundle.model.parent / picture).with_suffix(".json").exists():
                raise ModelError(
                    picture, "has no result beside it; write it with `inferd infer --json`, see docs/models.md"
                )
    if bundle.fallback is not None:
        files.append(bundle.fallback)
    for file in files:
        if not file.exists():
            raise ModelError(file.name, "is named by the manifest but is not there; copy it too")
    return list(dict.fromkeys(files))
