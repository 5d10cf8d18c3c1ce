"""Puts together what is known of a model.

Who is believed: flag > manifest > metadata > labels file > graph, shape and quantisation > assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from inferd.config.settings import Overrides
from inferd.errors import ModelError
from inferd.records import ModelRef
from inferd.store.description.bundle import Bundle, bundle_digest, find_bundle
from inferd.store.description.inputs import describe_input, describe_signal, find_picture, missing_input
from inferd.store.description.labels import LABELS_MAX_BYTES, ParsedLabels, given_labels, parse_labels
from inferd.store.description.manifest_file import MANIFEST_MAX_BYTES, parse_manifest, require_output_bounds
from inferd.store.description.outputs import (
    DECODERS,
    describe_output,
    guess_decoder,
    guess_task,
    missing_output,
    require_fitting_labels,
    require_one_activation,
)
from inferd.store.description.precedence import (
    FILE_NAME,
    FLAG,
    GRAPH,
    LABELS_FILE,
    MANIFEST,
    METADATA,
    KnownDescriptions,
    Precedence,
)
from inferd.store.formats.appended_zip import Archive, find_archive, require_plain_name, unpack
from inferd.store.formats.bounded_file import ModelFile, read_small
from inferd.store.formats.onnx_file import SUFFIX as ONNX_SUFFIX
from inferd.store.formats.onnx_file import read_onnx, read_onnx_names
from inferd.store.formats.tflite_file import read_tflite
from inferd.store.formats.tflite_metadata import LabelFile, ModelMetadata, read_metadata
from inferd.wire.manifest import Decoder, Manifest, ModelDescription, ModelFileFacts, OutputSection, Task

ULTRALYTICS = "metadata.json"  # what its exports append to a .tflite file: names, picture size, task
PREFERRED_LOCALES = ("", "en")


@dataclass(frozen=True, slots=True)
class ModelContents:
    """What the .tflite file holds: facts, metadata and the labels in it."""

    sha256: str
    facts: ModelFileFacts
    metadata: ModelMetadata | None
    labels: ParsedLabels | None


@dataclass(frozen=True, slots=True)
class ChosenLabels:
    """The labels in use, who told them, and the file they came from where it is one beside the model."""

    labels: ParsedLabels | None = None
    told_by: str = ""
    file_content: bytes | None = None
    part: str = ""


def describe(path: Path, overrides: Overrides, name: str | None) -> ModelDescription:
    """Describe the model at `path` without running it.

    Args:
        path: a .tflite or .onnx file, or the folder that holds model.tflite or model.onnx.
        overrides: what a person says instead of the manifest.
        name: what the model is to be called; None takes the manifest's or the file's name.

    Raises:
        ModelError: model, manifest or labels are missing, damaged, too large, or contradict each other.
    """
    bundle = find_bundle(path)
    contents = read_contents(bundle.model)
    written = read_small(bundle.manifest, MANIFEST_MAX_BYTES) if bundle.manifest else None
    said = parse_manifest(bundle.manifest.name, written) if bundle.manifest and written is not None else Manifest()
    chosen = _choose_labels(bundle, overrides, said, contents)
    known = KnownDescriptions(bundle.model.name, overrides, said, contents.metadata, contents.facts)
    answers = Precedence()
    filled, missing = _fill(known, chosen.labels, answers)
    filled = _identify(filled, bundle, known, name, answers)
    if chosen.labels:
        answers.told_by["output.labels"] = chosen.told_by
    require_one_activation(known.part, contents.facts, filled)
    require_fitting_labels(chosen.part or bundle.model.name, contents.facts, filled, chosen.labels)
    digest = bundle_digest(contents.sha256, written, chosen.file_content)
    return ModelDescription(
        ref=ModelRef(filled.model.name or bundle.title, filled.model.version or "", digest),
        manifest=filled,
        labels=chosen.labels.texts if chosen.labels else (),
        facts=contents.facts,
        told_by=answers.told_by,
        missing=tuple(missing),
        notes=tuple(_notes(contents)),
    )


def read_contents(model: Path) -> ModelContents:
    """Read one .tflite or .onnx file: what it is, what it says, and its digest.

    Raises:
        ModelError: it is no model, damaged, hostile, or changes while it is read.
    """
    with ModelFile(model) as file:
        if model.suffix.lower() == ONNX_SUFFIX:
            facts, names = read_onnx(file.name, file), read_onnx_names(file.name, file)
            listed = names.startswith(("{", "["))  # else another tool's
            return ModelContents(
                file.sha256(), facts, None, parse_labels(f"{file.name} (names)", names.encode()) if listed else None
            )
        archive = find_archive(file)
        read = read_tflite(file.name, file, archive.begins if archive else None)
        metadata = read_metadata(file.name, read.metadata) if read.metadata is not None else None
        labels = _labels_within(file, archive, metadata) if metadata else None
        if labels is None and archive is not None and ULTRALYTICS in archive.entries:
            content = unpack(file, archive.entries[ULTRALYTICS])
            labels = parse_labels(f"{file.name} ({ULTRALYTICS})", content) if b"names" in content else None
        return ModelContents(file.sha256(), read.facts, metadata, labels)


def _labels_within(file: ModelFile, archive: Archive | None, metadata: ModelMetadata) -> ParsedLabels | None:
    """Return the labels that the metadata attaches to an output; None where it names none or the zip was stripped."""
    named = [entry for tensor in metadata.outputs for entry in tensor.label_files]
    for entry in named:
        require_plain_name(file.name, entry.name)
    wanted = min(named, key=_language_rank, default=None)
    if wanted is None or archive is None or wanted.name not in archive.entries:
        return None
    return parse_labels(f"{file.name} ({wanted.name} in it)", unpack(file, archive.entries[wanted.name]))


def _language_rank(entry: LabelFile) -> int:
    return PREFERRED_LOCALES.index(entry.locale) if entry.locale in PREFERRED_LOCALES else len(PREFERRED_LOCALES)


def _choose_labels(bundle: Bundle, overrides: Overrides, said: Manifest, contents: ModelContents) -> ChosenLabels:
    listed = said.output.labels
    if overrides.labels is not None:
        return _from_file(Path(overrides.labels), FLAG)
    if isinstance(listed, str):
        return _from_file(bundle.model.parent / listed, MANIFEST)
    if listed is not None:
        part = bundle.manifest.name if bundle.manifest else bundle.model.name
        return ChosenLabels(given_labels(part, listed), MANIFEST, part=part)
    if contents.labels is not None:
        return ChosenLabels(contents.labels, METADATA)
    if len(bundle.labels) > 1:
        names = " and ".join(file.name for file in bundle.labels)
        raise ModelError(
            bundle.model.name, f"{names} could both be its labels; name one with labels under [output], or --labels"
        )
    return _from_file(bundle.labels[0], LABELS_FILE) if bundle.labels else ChosenLabels()


def _from_file(file: Path, told_by: str) -> ChosenLabels:
    content = read_small(file, LABELS_MAX_BYTES)
    return ChosenLabels(parse_labels(file.name, content), told_by, content, file.name)


def _fill(known: KnownDescriptions, labels: ParsedLabels | None, answers: Precedence) -> tuple[Manifest, list[str]]:
    """Return the manifest with what is known of task, input and output filled in, and what is missing."""
    flags, said, facts = known.overrides, known.said, known.facts
    said_now = OutputSection(threshold=flags.threshold, top_k=flags.top_k, average=flags.average, limit=flags.limit)
    require_output_bounds(known.part, said_now)
    signal = describe_signal(known, answers)
    picture = None if signal.said else find_picture(known.part, facts, said.input.layout)
    guessed = guess_task(facts, takes_picture=picture is not None, has_labels=labels is not None)
    told: Task | None = answers.pick("model.task", (FLAG, flags.task), (MANIFEST, said.model.task))
    task = told or guessed
    answers.told_by.setdefault("model.task", GRAPH)
    by_graph = guess_decoder(facts) if task in DECODERS else None
    decoder: Decoder | None = answers.pick(
        "output.decoder", (FLAG, flags.decoder), (MANIFEST, said.output.decoder), (GRAPH, by_graph)
    )
    section = describe_input(known, picture, decoder, answers)
    output = describe_output(known, task, decoder, labels, answers)
    model = msgspec.structs.replace(said.model, task=task)
    filled = msgspec.structs.replace(said, model=model, input=section, signal=signal, output=output)
    return filled, [] if task == "raw" else missing_input(picture, section, answers) + missing_output(task, decoder)


def _identify(
    filled: Manifest, bundle: Bundle, known: KnownDescriptions, name: str | None, answers: Precedence
) -> Manifest:
    """Return the manifest with name, version and what is told of the model as a whole filled in."""
    said, told = filled.model, known.metadata
    version = told.version.removeprefix("v") or None if told else None
    description = told.description or None if told else None
    licence = told.licence or None if told else None
    if said.variant or bundle.variant:
        version = (
            None  # files of one model, made by several converters: only a person can say that they are of one version
        )
    folder = bundle.version or None
    runtime = known.facts.min_runtime or None
    model = msgspec.structs.replace(
        said,
        name=answers.pick("model.name", (FLAG, name), (MANIFEST, said.name), (FILE_NAME, bundle.title)),
        variant=answers.pick("model.variant", (MANIFEST, said.variant), (FILE_NAME, bundle.variant or None)),
        version=answers.pick("model.version", (MANIFEST, said.version), (FILE_NAME, folder), (METADATA, version)),
        min_runtime=answers.pick("model.min_runtime", (MANIFEST, said.min_runtime), (GRAPH, runtime)),
        description=answers.pick("model.description", (MANIFEST, said.description), (METADATA, description)),
        licence=answers.pick("model.licence", (MANIFEST, said.licence), (METADATA, licence)),
    )
    return msgspec.structs.replace(filled, model=model)


def _notes(contents: ModelContents) -> list[str]:
    outputs = contents.metadata.outputs if contents.metadata else ()
    notes = []
    if any(tensor.calibrated for tensor in outputs):
        notes.append(
            "its metadata carries a score calibration, which inferd does not apply: scores are the model's own"
        )
    if any(tensor.label_files for tensor in outputs) and contents.labels is None:
        notes.append("its metadata names a label file that is no longer in it")
    return notes
