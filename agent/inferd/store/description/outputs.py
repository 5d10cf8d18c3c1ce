"""Describes the model's outputs: task, decoder, activation, threshold and fitting labels. Pure."""

from __future__ import annotations

import math
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
    LABELS_FILE,
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
BINARY = 2  # labels that one output p may have: p and 1 - p


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
    known: KnownDescriptions, task: Task, decoder: Decoder | None, labels: ParsedLabels | None, answers: Precedence
) -> OutputSection:
    """Fill an [output] section for a task; `labels` stays as in the manifest.

    Args:
        known: flags, manifest, metadata and file.
        task: already decided.
        decoder: already decided; None for tasks without decoders.
        labels: those in use; None if there are none.
        answers: records the source of each value.
    """
    said, flags = known.said.output, known.overrides

    def pick(field: str, flag: T | None, manifest: T | None, *rest: tuple[str, T | None]) -> T | None:
        return answers.pick(f"output.{field}", (FLAG, flag), (MANIFEST, manifest), *rest)

    threshold = (METADATA, _threshold(known.metadata)), (ASSUMED, THRESHOLDS.get(task))
    iou = IOU.get(decoder) if decoder else None
    offset = guess_label_offset(known.facts, decoder, labels) if task != "raw" else (ASSUMED, None)
    return OutputSection(
        labels=said.labels,
        label_offset=pick("label_offset", None, said.label_offset, offset),
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
        shape = facts.outputs[0].spec.shape
        single = 1 in (shape[-1:] + shape[1:2]) and len(shape) == len("nhwc")
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
    if otherwise == "softmax" and math.prod(output.spec.shape) == 1:
        otherwise = "sigmoid"  # a softmax over one number is always 1
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


def guess_label_offset(facts: ModelFileFacts, decoder: Decoder | None, labels: ParsedLabels | None) -> tuple[str, int]:
    """Return (source, label_offset). TFLite's detection operator leaves the background out of its class numbers.

    So a label file that begins with it (`???`, "background", or ids from 1) is one ahead of the operator.
    """
    one_ahead = labels is not None and labels.starts_with_background and len(labels.texts) != facts.classes
    return (LABELS_FILE, 1) if one_ahead and decoder == "tflite_detection_postprocess" else (ASSUMED, 0)


def head_classes(facts: ModelFileFacts, manifest: Manifest) -> int | None:
    """Return how many classes the file itself tells apart, for this task; None where it does not say."""
    if manifest.model.task == "classify":
        return class_count(facts)
    if manifest.output.decoder == "tflite_detection_postprocess":
        return facts.classes or None
    return None


def require_one_activation(part: str, facts: ModelFileFacts, manifest: Manifest) -> None:
    """Make sure that a classifier's scores are not activated twice: a second softmax makes all classes alike.

    Raises:
        ModelError: the graph ends with one, and another is given.
    """
    activation = manifest.output.activation
    if manifest.model.task != "classify" or activation in (None, "none") or not facts.outputs:
        return
    if (maker := facts.outputs[0].made_by) in SCORE_MAKERS:
        raise ModelError(
            part, f"ends with {maker} already; activation = {activation!r} would be a second one: leave it out"
        )


def require_fitting_labels(part: str, facts: ModelFileFacts, manifest: Manifest, labels: ParsedLabels | None) -> None:
    """Make sure that each class has its label: class i is labels[i + label_offset].

    Raises:
        ModelError: the counts do not fit, or a classifier has no output.
    """
    if manifest.model.task == "classify" and not facts.outputs:
        raise ModelError(part, "has no output to classify by; use --task raw")
    classes, offset = head_classes(facts, manifest), manifest.output.label_offset or 0
    if labels is None or classes is None or (classes == 1 and len(labels.texts) == BINARY):
        return
    if len(labels.texts) != classes + offset:
        raise ModelError(part, _count_mismatch(labels, classes, offset))


def _count_mismatch(labels: ParsedLabels, classes: int, offset: int) -> str:
    """Return the sentence; it proposes a label_offset only where the file itself shows that it fits."""
    count, shifted = len(labels.texts), f" with label_offset {offset}" if offset else ""
    if labels.numbered and count < classes + offset:
        return (
            f"ends at number {count - 1:,}, but the model has {classes:,} classes{shifted}; copy it again, or add a line"
            f' "{classes + offset - 1} -" if the last of them have no label'
        )
    fact = f"has {count:,} labels for {classes:,} classes{shifted}"
    if offset and count == classes:
        return f"{fact}; remove label_offset from [output] of the manifest"
    if not offset and count == classes + 1 and labels.starts_with_background:
        return f"{fact}, and the first is no class; set label_offset = 1 under [output] of the manifest"
    return f"{fact}; it needs the label file that the model was trained with, one line for each class"
