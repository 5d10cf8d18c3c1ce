"""Describes the model's outputs: task, decoder, activation, threshold and fitting labels. Pure."""

from __future__ import annotations

from typing import TypeVar

from inferd.errors import ModelError
from inferd.records import TensorSpec
from inferd.store.description.inputs import LOWEST
from inferd.store.description.labels import ParsedLabels
from inferd.store.description.precedence import (
    ASSUMED,
    DECODER,
    FLAG,
    GRAPH,
    MANIFEST,
    METADATA,
    QUANTISATION,
    KnownDescriptions,
    Precedence,
)
from inferd.store.formats.tflite_metadata import ModelMetadata
from inferd.wire.manifest import Activation, Decoder, Manifest, ModelFileFacts, OutputSection, Task, TensorFacts

T = TypeVar("T")

POSTPROCESS = "TFLite_Detection_PostProcess"
BLAZEFACE_SHAPES = ((1, 896, 16), (1, 896, 1))  # 896 anchors: box and six points, score
SCORE_MAKERS = frozenset({"SOFTMAX", "LOGISTIC"})
CLASS_MAKERS = SCORE_MAKERS | {
    "LOG_SOFTMAX",
    "FULLY_CONNECTED",
    "ADD",
    "CONV_2D",
    "BATCH_MATMUL",
}  # not pooling: embedders
SCORE_SCALE = 1 / 256  # what converters give to outputs that lie in 0..1

THRESHOLDS: dict[Task, float] = {"classify": 0.0, "detect": 0.5, "segment": 0.5}
TOP_K: dict[Task, int] = {"classify": 5, "detect": 25}
IOU: dict[Decoder, float] = {"blazeface": 0.3, "yolov5": 0.45, "yolov8": 0.45}  # their makers' settings
BLAZEFACE_IOU = IOU["blazeface"]
MOVENET_SHAPE = (1, 1, 17, 3)
DECODERS: dict[Task, tuple[Decoder, ...]] = {
    "detect": ("tflite_detection_postprocess", "blazeface", "yolov5", "yolov8"),
    "pose": ("movenet", "landmarks"),
}
LABEL_OFFSET = 0


def guess_decoder(facts: ModelFileFacts) -> Decoder | None:
    """Return the decoder for these outputs; None if they are not recognised."""
    if any(output.made_by == POSTPROCESS for output in facts.outputs):
        return "tflite_detection_postprocess"
    if tuple(sorted((output.spec.shape for output in facts.outputs), reverse=True)) == BLAZEFACE_SHAPES:
        return "blazeface"
    if [output.spec.shape for output in facts.outputs] == [MOVENET_SHAPE]:
        return "movenet"
    return None


def guess_task(facts: ModelFileFacts, *, takes_picture: bool, has_labels: bool) -> Task:
    """Return the task that graph and shapes suggest; "raw" if they suggest none."""
    if decoder := guess_decoder(facts):
        return next(task for task, decoders in DECODERS.items() if decoder in decoders)
    if takes_picture and [output.made_by for output in facts.outputs] == ["ARG_MAX"]:
        return "segment"
    classes = class_count(facts)
    if len(facts.outputs) != 1 or classes is None:
        return "raw"
    output = facts.outputs[0]
    looks_like_scores = output.made_by in CLASS_MAKERS or holds_scores(output.spec)
    return "classify" if has_labels or (takes_picture and classes > 1 and looks_like_scores) else "raw"


def class_count(facts: ModelFileFacts) -> int | None:
    """Return n if the first output is one row of n values (all other dimensions 1), else None."""
    if not facts.outputs:
        return None
    spec = facts.outputs[0].spec
    row = len(spec.shape) > 1 and all(length == 1 for length in spec.shape[:-1])
    return spec.shape[-1] if row and spec.shape_signature[-1] > 0 else None


def holds_scores(spec: TensorSpec) -> bool:
    """Whether the quantisation says that values lie between 0 and 1."""
    return spec.scale == SCORE_SCALE and LOWEST.get(spec.dtype) == spec.zero_point


def describe_output(
    known: KnownDescriptions, task: Task, decoder: Decoder | None, answers: Precedence
) -> OutputSection:
    """Fill an [output] section for a task; `labels` stays as in the manifest.

    Args:
        known: flags, manifest, metadata and file.
        task: already decided.
        decoder: already decided; None for tasks without decoders.
        answers: records the source of each value.
    """
    said, flags = known.said.output, known.overrides

    def pick(field: str, flag: T | None, manifest: T | None, *rest: tuple[str, T | None]) -> T | None:
        return answers.pick(f"output.{field}", (FLAG, flag), (MANIFEST, manifest), *rest)

    threshold = (METADATA, _threshold(known.metadata)), (ASSUMED, THRESHOLDS.get(task))
    iou = IOU.get(decoder) if decoder else None
    offset = LABEL_OFFSET if task != "raw" else None
    return OutputSection(
        labels=said.labels,
        label_offset=pick("label_offset", None, said.label_offset, (ASSUMED, offset)),
        activation=pick("activation", flags.activation, said.activation, guess_activation(known.facts, task, decoder)),
        threshold=pick("threshold", flags.threshold, said.threshold, *threshold),
        top_k=pick("top_k", flags.top_k, said.top_k, (ASSUMED, TOP_K.get(task))),
        decoder=decoder,
        iou_threshold=pick("iou_threshold", None, said.iou_threshold, (ASSUMED, iou)),
        box_unit=said.box_unit,
        average=pick("average", flags.average, said.average),
        normalize=pick("normalize", flags.normalize, said.normalize),
        reference=said.reference,
        limit=pick("limit", flags.limit, said.limit),
        scale=said.scale,
        offset=said.offset,
        units=said.units,
    )


def guess_activation(facts: ModelFileFacts, task: Task, decoder: Decoder | None) -> tuple[str, Activation | None]:
    """Return (source, activation) for turning the outputs into scores 0..1."""
    if task == "classify" and facts.outputs:
        return _classifier_activation(facts.outputs[0])
    if task == "segment" and facts.outputs:
        single = facts.outputs[0].spec.shape[-1:] == (1,)
        return _classifier_activation(facts.outputs[0], "sigmoid") if single else (ASSUMED, None)
    if decoder == "tflite_detection_postprocess":
        return GRAPH, "none"
    if decoder == "blazeface":
        scores = min(facts.outputs, key=lambda output: output.spec.shape[-1:])
        return (GRAPH, "none") if scores.made_by in SCORE_MAKERS else (DECODER, "sigmoid")
    return ASSUMED, None


def _threshold(metadata: ModelMetadata | None) -> float | None:
    told = (tensor.threshold for tensor in metadata.outputs) if metadata else ()
    return next((threshold for threshold in told if threshold is not None), None)


def _classifier_activation(output: TensorFacts, otherwise: Activation = "softmax") -> tuple[str, Activation]:
    if output.made_by in SCORE_MAKERS:
        return GRAPH, "none"
    if holds_scores(output.spec):
        return QUANTISATION, "none"
    return ASSUMED, otherwise


def missing_output(task: Task, decoder: Decoder | None) -> list[str]:
    """Return one sentence for each value that must be given before the outputs can be read."""
    fitting = DECODERS.get(task, ())
    if not fitting or decoder in fitting:
        return []
    found = "boxes" if task == "detect" else "keypoints"
    where = f"set decoder under [output] of the manifest, or --decoder ({' or '.join(fitting)}), or use --task raw"
    return [f"nothing says how the outputs become {found}; {where}"]


def require_fitting_labels(part: str, facts: ModelFileFacts, manifest: Manifest, labels: ParsedLabels | None) -> None:
    """Make sure that a classifier has a label for each output: output i is labels[i + label_offset].

    Numbered label files may end early, as they may have gaps.

    Raises:
        ModelError: the counts do not fit, or there is no output.
    """
    if manifest.model.task != "classify":
        return
    if not facts.outputs:
        raise ModelError(part, "has no output to classify by; use --task raw")
    classes, offset = class_count(facts), manifest.output.label_offset or 0
    if classes is not None and labels is not None and not _fits(labels, classes + offset):
        raise ModelError(part, _count_mismatch(len(labels.texts), classes, offset))


def _fits(labels: ParsedLabels, wanted: int) -> bool:
    count = len(labels.texts)
    return count == wanted or (labels.numbered and count < wanted)


def _count_mismatch(labels: int, classes: int, offset: int) -> str:
    shifted = f" with label_offset {offset}" if offset else ""
    fact = f"has {labels:,} labels for {classes:,} outputs{shifted}"
    if abs(labels - classes) == 1 and labels - classes != offset:
        first = "the first label is of no output" if labels > classes else "output 0 has no label"
        return f"{fact}; if {first}, say label_offset = {labels - classes} under [output] of the manifest"
    if labels == classes:
        return f"{fact}; remove label_offset from [output] of the manifest"
    return f"{fact}; it needs the label file that the model was trained with, one line for each output"
