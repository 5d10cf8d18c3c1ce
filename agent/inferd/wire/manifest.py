"""The manifest (`name.toml` beside `name.tflite`) and the description of a model that is made from it.

A field that is None was not said. `ModelDescription` carries the same sections with all that could be found out filled
in, and tells for each where it came from. Names follow TFLite metadata and the IMX500 intrinsics where those have one.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from inferd.records import ColorOrder, Flaw, ModelRef, TensorSpec
from inferd.wire.bounds import Finite, Share

Task = Literal["classify", "detect", "segment", "pose", "embed", "anomaly", "regress", "raw"]
Resize = Literal["stretch", "letterbox", "crop"]
Filter = Literal["fast_area", "area", "linear", "nearest", "cubic"]
Layout = Literal["nhwc", "nchw"]
Activation = Literal["none", "softmax", "sigmoid"]
Decoder = Literal["tflite_detection_postprocess", "blazeface", "yolov5", "yolov8", "movenet", "landmarks"]
BoxUnit = Literal["share", "pixel"]
PictureDenoise = Literal["none", "median", "gaussian", "bilateral"]
SignalDenoise = Literal["none", "median", "gaussian", "band_pass", "spectral_gate"]
SignalScale = Literal["none", "peak", "standard"]
Feature = Literal["samples", "spectrum", "mel", "mfcc", "microfrontend", "bands", "statistics", "peaks"]
Taper = Literal["none", "hann", "hamming", "blackman"]
MelScale = Literal["htk", "slaney"]
LogKind = Literal["none", "ln", "db"]
SEQUENCES = {f"{way}_SEQUENCE_{kind}" for way in ("UNIDIRECTIONAL", "BIDIRECTIONAL") for kind in ("LSTM", "RNN")}
REMEMBERING = {"VAR_HANDLE", "LSTM", "RNN", "SVDF"} | SEQUENCES
"""TensorFlow Lite's operators that carry something over to the next frame."""
Statistic = Literal["mean", "std", "rms", "min", "max", "span", "crest", "skewness", "kurtosis", "crossings"]


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
        variant: which of several models of this name and version it is, such as "small"; the device takes what suits it.
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
    variant: str | None = None


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
        denoise: how noise is taken out of the picture before it is resized.
        denoise_px: how far that looks, pixels; odd.
    """

    color_order: ColorOrder | None = None
    resize: Resize | None = None
    filter: Filter | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    range: tuple[float, float] | None = None
    layout: Layout | None = None
    letterbox_fill: int | None = None
    denoise: PictureDenoise | None = None
    denoise_px: int | None = None


class SignalSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[signal]`: how a window of sound or of a sensor's readings becomes the tensor, in this order.

    Attributes:
        rate_hz: samples a second that the model was trained on.
        window: samples in a window.
        hop: samples from the start of a window to the start of the next; `window` where it is not said.
        channels: which of the source's channels, by number from 0; "mix" makes one of all, their mean.
        denoise: how noise is taken out of the window.
        denoise_size: how far "median" and "gaussian" look, samples; odd.
        band_hz: what "band_pass" leaves: lowest and highest frequency.
        gate_db: how far a frequency must stand above the window's quiet for "spectral_gate" to leave it.
        scale: "peak" divides by the largest sample, "standard" takes mean and deviation of each channel out.
        mean: of each channel, or one for all: real = (sample - mean) / std.
        std: see `mean`.
        features: what is computed; several are laid one behind the other.
        frame: samples in a frame of a spectrum.
        step: samples from frame to frame.
        fft: points of the transform; the next power of two from `frame` where it is not said.
        taper: what a frame is multiplied with.
        power: of the magnitudes: 1.0 or 2.0.
        mels: how many mel bands.
        low_hz, high_hz: where they begin and end.
        mel_scale: "htk" as TensorFlow has it, "slaney" as librosa has it.
        log: "ln", or "db" (ten times the logarithm to ten; twenty times where power is 1.0).
        log_offset: added before the logarithm.
        coefficients: how many of the cosine transform are kept, for "mfcc".
        bands_hz: edges of the bands whose energy is taken, for "bands".
        statistics: which, of each channel.
        peaks: how many of the strongest frequencies, for "peaks": frequency and magnitude of each.
        feature_mean: of the computed values: real = (value - feature_mean) / feature_std.
        feature_std: see `feature_mean`.
        select: which of all computed values are kept, by number from 0.
    """

    rate_hz: float | None = None
    window: int | None = None
    hop: int | None = None
    channels: tuple[int, ...] | Literal["mix"] | None = None
    denoise: SignalDenoise | None = None
    denoise_size: int | None = None
    band_hz: tuple[float, float] | None = None
    gate_db: float | None = None
    scale: SignalScale | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    features: tuple[Feature, ...] | None = None
    frame: int | None = None
    step: int | None = None
    fft: int | None = None
    taper: Taper | None = None
    power: float | None = None
    mels: int | None = None
    low_hz: float | None = None
    high_hz: float | None = None
    mel_scale: MelScale | None = None
    log: LogKind | None = None
    log_offset: float | None = None
    coefficients: int | None = None
    bands_hz: tuple[float, ...] | None = None
    statistics: tuple[Statistic, ...] | None = None
    peaks: int | None = None
    feature_mean: float | None = None
    feature_std: float | None = None
    select: tuple[int, ...] | None = None

    @property
    def said(self) -> bool:
        """Whether anything is said, so that the model takes a signal."""
        return self != SignalSection()


class PcaSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[pca]`: principal components of the features of a signal: (features - mean) / std, times each component.

    Attributes:
        mean: of each feature.
        std: of each feature; 1 where it is not said.
        components: rows of as many numbers as there are features.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    components: tuple[tuple[float, ...], ...] | None = None


class QualitySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[quality]`: which frames are too poor to trust. What is not said is not looked at.

    Attributes:
        dark: a picture whose mean brightness (0..1) is below it is black.
        bright: a picture of which a larger share (0..1) is blown out is over-exposed.
        sharp: a picture in whose middle the Laplacian varies by less is blurred.
        frozen_s: a picture or window that stays bit for bit the same for so long is frozen.
        missing: a window of which a larger share (0..1) of the values is missing.
        low: a value below it is impossible; one for all channels or one for each.
        high: a value above it is impossible; one for all channels or one for each.
        keep_out: frames with these flaws never reach the model; those with others are counted and told.
    """

    dark: Share | None = None
    bright: Share | None = None
    sharp: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    frozen_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    missing: Share | None = None
    low: tuple[Finite, ...] | None = None
    high: tuple[Finite, ...] | None = None
    keep_out: tuple[Flaw, ...] | None = None


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
    """`[golden]`: samples and pictures with known answers.

    Attributes:
        samples: an .npz in the same folder; its keys are the input names, `output:<name>` for expected outputs and
            `label` for the true class, first axis = samples.
        pictures: files in the same folder; beside each `cat.jpg` lies `cat.json`, what `inferd infer --json` prints of it.
        tolerance: largest difference of a real (dequantised) output value, and of a picture's scores.
    """

    samples: str | None = None
    pictures: tuple[str, ...] | None = None
    tolerance: float | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that can be said about a model besides its weights; every key is optional."""

    schema_version: int = 1
    model: ModelSection = ModelSection()
    input: InputSection = InputSection()
    signal: SignalSection = SignalSection()
    pca: PcaSection = PcaSection()
    quality: QualitySection = QualitySection()
    output: OutputSection = OutputSection()
    budget: BudgetSection = BudgetSection()
    golden: GoldenSection = GoldenSection()


class TensorFacts(msgspec.Struct, frozen=True):
    """What the file alone says of an input or output.

    Attributes:
        spec: name, shape, type and quantisation.
        made_by: of an output, the operator that writes it, quantisers and reshapes skipped.
        made_at: which of that operator's outputs it is, from 0.
    """

    spec: TensorSpec
    made_by: str = ""
    made_at: int = 0


class ModelFileFacts(msgspec.Struct, frozen=True):
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
        classes: how many a detection operator names in its options; 0 if none does.
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
    classes: int = 0

    @property
    def stateful(self) -> bool:
        """Whether the model remembers earlier frames, so that their order and completeness matter to it."""
        return self.format == "tflite" and not REMEMBERING.isdisjoint(self.ops)


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
    facts: ModelFileFacts
    told_by: dict[str, str]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
