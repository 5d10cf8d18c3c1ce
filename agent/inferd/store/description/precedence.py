"""Picks the first of several sources that says something, and remembers which one it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from inferd.config.settings import Overrides
from inferd.store.formats.tflite_metadata import ModelMetadata
from inferd.wire.manifest import Manifest, ModelFileFacts

T = TypeVar("T")

FLAG = "flag"
MANIFEST = "manifest"
METADATA = "metadata"
LABELS_FILE = "labels file"
FILE_NAME = "file name"
DECODER = "decoder"
GRAPH = "graph"
SHAPE = "shape"
QUANTISATION = "quantisation"
ASSUMED = "assumed"
OWN_RANGE = "assumed from quantisation"


@dataclass(frozen=True, slots=True)
class KnownDescriptions:
    """All that is said about a model, by whom.

    Attributes:
        part: the model's file, to name in errors.
        overrides: what a person says on the command line or in the configuration.
        said: the manifest; empty where there is none.
        metadata: what the file's maker wrote into it; None where there is none.
        facts: what the file is.
    """

    part: str
    overrides: Overrides
    said: Manifest
    metadata: ModelMetadata | None
    facts: ModelFileFacts


class Precedence:
    """Who told what, while one description is put together."""

    def __init__(self) -> None:
        self.told_by: dict[str, str] = {}

    def pick(self, key: str, *said: tuple[str, T | None]) -> T | None:
        """Return the first value that is not None, and note for `key` who said it.

        Args:
            key: such as "output.threshold".
            said: (who, value), the strongest source first.
        """
        for who, value in said:
            if value is not None:
                self.told_by[key] = who
                return value
        return None
