"""The manifest (`name.toml` beside `name.tflite`) and the description of a model that is made from it.

A field that is None was not said. `ModelDescription` carries the same sections with all that could be found out filled
in, and tells for each where it came from. Names follow TFLite metadata and the IMX500 intrinsics where those have one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from inferd.records import ColorOrder, ModelRef, TensorSpec

Task = Literal["classify", "detect", "segment", "pose", "embed", "anomaly", "regress", "raw"]
Resize = Literal["stretch", "letterbox", "crop"]
Filter = Literal["fast_area", "area", "linear", "nearest", "cubic"]
Layout = Literal["nhwc", "nchw"]
Activation = Literal["none", "softmax", "sigmoid"]
Decoder = Literal["tflite_detection_postprocess", "blazeface", "yolov5", "yolov8", "movenet", "landmarks"]
BoxUnit = Literal["share", "pixel"]


class ModelSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[model]`: what it is.

    Attributes:
        name: what it is called.
        version: orders models of one name.
        task: what it is for.
        min_runtime: the oldest TFLite runtime that runs it, such as "2.14".
        description: for people.
        licence: for people.
        sha256: of the model's file, in hexadecimal: what arrived is what was sent.
        contract: "new" where labels, tensors or normalisation differ on purpose from the model it replaces.
        twin: of a model compiled for an Edge TPU, the file in the same folder that the CPU runs in its place.
    """

    name: str | None = None
    version: str | None = None
    task: Task | None = None
    min_runtime: str | None = None
    description: str | None = None
    licence: str | None = None
    twin: str | None = None
    sha256: str | None = None
    contract: Literal["same", "new"] | None = None


class InputSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[input]`: how a picture becomes the tensor. Says `mean` and `std` (of pixel values 0..255) or `range`, not both.

    Attributes:
        color_order: the order of channels the model was trained on.
        resize: how a picture of another shape is made to fit.
        filter: how pixels are interpolated.
        mean: real = (pixel - mean) / std; one value or one per channel.
        std: see `mean`.
        range: the real values that pixels 0 and 255 become, such as [-1.0, 1.0].
        layout: order of the tensor's axes.
        letterbox_fill: pixel value 0..255 of the bars.
    """

    color_order: ColorOrder | None = None
    resize: Resize | None = None
    filter: Filter | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    range: tuple[float, float] | None = None
    layout: Layout | None = None
    letterbox_fill: int | None = None


class OutputSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[output]`: how the outputs are read.

    Attributes:
        labels: a file in the same folder, or the labels themselves.
        label_offset: label of output index i is labels[i + label_offset].
        activation: what turns the output into scores 0..1; "none" where it already is.
        threshold: scores below it are left out.
        top_k: at most so many labels or boxes.
        decoder: how the outputs become boxes or keypoints.
        iou_threshold: boxes that overlap more than this (0..1) are merged, for decoders that suppress themselves.
        box_unit: whether a YOLO head gives shares of the model's input or its pixels.
        average: scores are the mean over the last so many frames; 0 is over all since the source began.
        normalize: whether an embedding is divided by its length.
        reference: the vector that an anomaly is far from; without it, the model's own input is what the output must meet.
        limit: an anomaly score above it is an anomaly.
        scale: of each value of a regression: value = output * scale + offset; one number, or one per value.
        offset: see `scale`.
        units: of each value of a regression; labels name them.
    """

    labels: str | tuple[str, ...] | None = None
    label_offset: int | None = None
    activation: Activation | None = None
    threshold: float | None = None
    top_k: int | None = None
    decoder: Decoder | None = None
    iou_threshold: float | None = None
    box_unit: BoxUnit | None = None
    average: int | None = None
    normalize: bool | None = None
    reference: tuple[float, ...] | None = None
    limit: float | None = None
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    units: tuple[str, ...] | None = None


class BudgetSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[budget]`: what the model may cost on a device, and what it must reach."""

    latency_p95_ms: float | None = None
    rss_mb: float | None = None
    energy_mj: float | None = None
    accuracy: float | None = None


class GoldenSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[golden]`: samples with known answers.

    Attributes:
        samples: an .npz in the same folder; its keys are the input names, `output:<name>` for expected outputs and
            `label` for the true class, first axis = samples.
        tolerance: largest difference of a real (dequantised) output value.
    """

    samples: str | None = None
    tolerance: float | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that can be said about a model besides its weights; every key is optional."""

    schema_version: int = 1
    model: ModelSection = ModelSection()
    input: InputSection = InputSection()
    output: OutputSection = OutputSection()
    budget: BudgetSection = BudgetSection()
    golden: GoldenSection = GoldenSection()


class TensorFacts(msgspec.Struct, frozen=True):
    """What the file alone says of an input or output: `made_by` is the operator that writes it, quantisers skipped."""

    spec: TensorSpec
    made_by: str = ""


class FileFacts(msgspec.Struct, frozen=True):
    """What was read from the .tflite or .onnx file itself without any runtime.

    Attributes:
        size_bytes: the model, without a zip appended to it.
        description: the file's own one.
        ops: operator name → how often, builtins in TFLite's spelling ("CONV_2D"), custom ones by their name.
        custom_ops: the custom ones among them, such as "TFLite_Detection_PostProcess" or "edgetpu-custom-op".
        inputs, outputs: of the primary subgraph.
        signatures: names of the signatures.
        metadata: whether TFLite metadata was found.
        min_runtime: the metadata's or the converter's minimum runtime; "" where neither says.
        format: which kind of file it is.
    """

    size_bytes: int
    description: str
    ops: dict[str, int]
    custom_ops: tuple[str, ...]
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    signatures: tuple[str, ...]
    metadata: bool
    min_runtime: str
    format: Literal["tflite", "onnx"] = "tflite"


class ModelDescription(msgspec.Struct, frozen=True):
    """A model as inferd understands it: manifest, metadata, labels file and shapes put together.

    Attributes:
        ref: name, version and the digest over model, manifest and labels.
        manifest: with everything that could be found out filled in; what is still None could not be known.
        labels: in file order; () where there are none.
        facts: what the file says.
        told_by: "input.mean" → "metadata", "manifest", "labels file", "shape", "flag", "assumed".
        missing: one sentence each, for what cannot be known and must be said before the task can run.
        notes: one sentence each, for what a person should know though it stops nothing.
    """

    ref: ModelRef
    manifest: Manifest
    labels: tuple[str, ...]
    facts: FileFacts
    told_by: dict[str, str]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
