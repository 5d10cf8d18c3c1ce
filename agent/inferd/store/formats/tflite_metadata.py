"""TFLite metadata: what a model's maker wrote into it about its tensors.

Slots and numbers are those of TFLite's metadata_schema.fbs, identifier M001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from inferd.errors import ModelError
from inferd.records import ColorOrder
from inferd.store.formats.bounded_file import BytesInMemory
from inferd.store.formats.flatbuffer import FlatBuffer, FlatBufferTable, Tables

METADATA_MARK = b"M001"
READS_MAX = 20_000  # the largest of ours takes 120
ITEMS_MAX = 256  # tensors, steps or files of one kind
FilesKind = Literal["axis labels", "value labels"]
LABEL_KINDS: dict[int, FilesKind] = {2: "axis labels", 3: "value labels"}
AXIS_CALIBRATION = 4  # the associated file that holds a score calibration
COLOR_SPACES: dict[int, ColorOrder] = {1: "rgb", 2: "gray"}
IMAGE_PROPERTIES, AUDIO_PROPERTIES = 2, 4  # numbers in the union of content properties
NORMALIZATION, CALIBRATION, THRESHOLDING = 1, 2, 3  # numbers in the union of process units


class ModelSlots:
    """Slots of the root table."""

    _, DESCRIPTION, VERSION, SUBGRAPHS, _, LICENCE, _, MIN_PARSER = range(8)
    NAME = 0


class SubgraphSlots:
    """Slots of a subgraph's metadata."""

    _, _, INPUTS, OUTPUTS = range(4)


class TensorSlots:
    """Slots of a tensor's metadata."""

    NAME, _, _, CONTENT, STEPS, _, FILES = range(7)


class UnionSlots:
    """Slots of a table that holds one union: its kind, then the table itself."""

    KIND, TABLE = range(2)


class AudioSlots:
    """Slots of what is said of a sound."""

    RATE_HZ, CHANNELS = range(2)


class FileSlots:
    """Slots of an associated file."""

    NAME, _, KIND, LOCALE = range(4)


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label file inside the model: its name, what it labels, and its language ("" where not said)."""

    name: str
    kind: FilesKind
    locale: str


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """What is said of one input or output; empty or None where nothing is.

    Attributes:
        name: what the maker calls it, such as "image" or "probability".
        color_order: of a picture input.
        rate_hz, channels: of a sound input; 0 where nothing is said.
        mean: of the values that go in: real = (value - mean) / std; one, or one per channel.
        std: see `mean`.
        threshold: scores below it mean nothing.
        calibrated: whether a score calibration belongs to this output.
        label_files: in the order of the file.
    """

    name: str
    color_order: ColorOrder | None
    rate_hz: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    threshold: float | None
    calibrated: bool
    label_files: tuple[LabelFile, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What is said of the model and of its primary subgraph's inputs and outputs, in their order."""

    name: str
    description: str
    version: str
    licence: str
    min_parser_version: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


def read_metadata(part: str, content: bytes) -> ModelMetadata:
    """Read the metadata of a model.

    Args:
        part: the file to name in errors.
        content: the metadata buffer, as it lies in the file.

    Raises:
        ModelError: it is damaged or made to confuse, or says what cannot be, such as a standard deviation of 0.
    """
    part = f"{part} (its metadata)"
    root = FlatBuffer(part, BytesInMemory(content), reads=READS_MAX).root(METADATA_MARK)
    subgraphs = root.tables(ModelSlots.SUBGRAPHS)
    primary = subgraphs[0] if len(subgraphs) else None
    return ModelMetadata(
        name=root.text(ModelSlots.NAME),
        description=root.text(ModelSlots.DESCRIPTION),
        version=root.text(ModelSlots.VERSION),
        licence=root.text(ModelSlots.LICENCE),
        min_parser_version=root.text(ModelSlots.MIN_PARSER),
        inputs=_tensors(part, primary, SubgraphSlots.INPUTS),
        outputs=_tensors(part, primary, SubgraphSlots.OUTPUTS),
    )


def _tensors(part: str, subgraph: FlatBufferTable | None, slot: int) -> tuple[TensorMetadata, ...]:
    if subgraph is None:
        return ()
    return tuple(_tensor(part, tensor) for tensor in _few(part, subgraph.tables(slot)))


def _tensor(part: str, tensor: FlatBufferTable) -> TensorMetadata:
    steps = _steps(part, tensor)
    files = _few(part, tensor.tables(TensorSlots.FILES))
    mean, std = _normalization(part, steps.get(NORMALIZATION))
    thresholding = steps.get(THRESHOLDING)
    sound = _content(tensor, AUDIO_PROPERTIES)
    return TensorMetadata(
        name=tensor.text(TensorSlots.NAME),
        color_order=_color_order(tensor),
        rate_hz=sound.integer(AudioSlots.RATE_HZ, "I") if sound else 0,
        channels=sound.integer(AudioSlots.CHANNELS, "I") if sound else 0,
        mean=mean,
        std=std,
        threshold=_threshold(part, thresholding) if thresholding else None,
        calibrated=CALIBRATION in steps or any(_kind(file) == AXIS_CALIBRATION for file in files),
        label_files=tuple(
            LabelFile(file.text(FileSlots.NAME), LABEL_KINDS[_kind(file)], file.text(FileSlots.LOCALE))
            for file in files
            if _kind(file) in LABEL_KINDS
        ),
    )


def _steps(part: str, tensor: FlatBufferTable) -> dict[int, FlatBufferTable]:
    found: dict[int, FlatBufferTable] = {}
    for unit in _few(part, tensor.tables(TensorSlots.STEPS)):
        options = unit.table(UnionSlots.TABLE)
        if options is not None:
            found[unit.integer(UnionSlots.KIND, "B")] = options
    return found


def _content(tensor: FlatBufferTable, kind: int) -> FlatBufferTable | None:
    content = tensor.table(TensorSlots.CONTENT)
    if content is None or content.integer(UnionSlots.KIND, "B") != kind:
        return None
    return content.table(UnionSlots.TABLE)


def _color_order(tensor: FlatBufferTable) -> ColorOrder | None:
    picture = _content(tensor, IMAGE_PROPERTIES)
    return COLOR_SPACES.get(picture.integer(0, "b")) if picture else None


def _normalization(part: str, options: FlatBufferTable | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = (options.reals(0), options.reals(1)) if options else ((), ())
    if not all(math.isfinite(value) for value in (*mean, *std)) or 0.0 in std or bool(mean) != bool(std):
        raise ModelError(
            part, f"says mean {mean} and std {std}, which cannot be; say both in the manifest, under [input]"
        )
    return mean, std


def _threshold(part: str, options: FlatBufferTable) -> float:
    threshold = options.real(0) or 0.0
    if not math.isfinite(threshold):
        raise ModelError(part, f"says a score threshold of {threshold}; say it in the manifest, under [output]")
    return threshold


def _kind(file: FlatBufferTable) -> int:
    return file.integer(FileSlots.KIND, "b")


def _few(part: str, tables: Tables) -> Tables:
    if len(tables) > ITEMS_MAX:
        raise ModelError(part, f"lists {len(tables):,} entries where {ITEMS_MAX} are plenty; it is damaged")
    return tables
