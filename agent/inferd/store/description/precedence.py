"""Picks a value from the first source that has one, and records which source that was."""

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
    """All sources of facts about a model.

    Attributes:
        part: the model's file, to name in errors.
        overrides: from the command line or the configuration.
        said: the manifest; empty if there is none.
        metadata: TFLite metadata; None if the file has none.
        facts: read from the file itself.
    """

    part: str
    overrides: Overrides
    said: Manifest
    metadata: ModelMetadata | None
    facts: ModelFileFacts


class Precedence:
    """Records the source of each value while one description is built."""

    def __init__(self) -> None:
        self.told_by: dict[str, str] = {}

    def pick(self, key: str, *said: tuple[str, T | None]) -> T | None:
        """Return the first value that is not None, and record its source for `key`.

        Args:
            key: such as "output.threshold".
            said: (source, value) pairs, the strongest first.
        """
        for who, value in said:
            if value is not None:
                self.told_by[key] = who
                return value
        return None
