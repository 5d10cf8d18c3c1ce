"""Describes the model's input: whether it takes a picture, and how pixels become numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from inferd.errors import ModelError
from inferd.picture_input import PictureShape, picture_shape
from inferd.records import ColorOrder, TensorSpec
from inferd.store.description.manifest_file import require_normalization
from inferd.store.description.precedence import (
    ASSUMED,
    DECODER,
    FLAG,
    MANIFEST,
    METADATA,
    OWN_RANGE,
    SHAPE,
    KnownDescriptions,
    Precedence,
)
from inferd.store.formats.tflite_metadata import TensorMetadata
from inferd.wire.manifest import Decoder, InputSection, Layout, ModelFileFacts, Resize, SignalSection

SIDE_MIN = 8  # pixels; our digits have 8
ASPECT_MAX = 4  # audio features (49 x 10) and motion windows (128 x 3) have the rank of a picture, but not its shape
LETTERBOX_FILL = 114  # grey, as detectors are trained; used with resize = "letterbox" only
LETTERBOXED: tuple[Decoder, ...] = ("blazeface", "yolov5", "yolov8")  # trained and run so by their makers
LOWEST = {"uint8": 0, "int8": -128}
PIXEL_MAX = 255
HALF = PIXEL_MAX / 2
USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 255.0), (-128.0, 127.0))
CALIBRATED = 0.1  # of the range: pictures that a quantiser was shown need not reach black and white
ONE_STEP = 1.01  # mean 127.5 and std 127.5 on a scale of 1/128 end exactly one step beyond the tensor's range

NORMALIZATION_HINT = (
    "--mean and --std (127.5 and 127.5 give -1 to 1, 0 and 255 give 0 to 1, 0 and 1 leave pixels as they are),"
    " or with mean and std, or range, under [input] of the manifest"
)

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and std: real = (pixel - mean) / std."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An input that takes a picture."""

    spec: TensorSpec
    layout: Layout
    channels: int
    open_sides: bool = False


def describe_input(
    known: KnownDescriptions, picture: Picture | None, decoder: Decoder | None, answers: Precedence
) -> InputSection:
    """Fill an [input] section; a key that stays None is not known.

    Args:
        known: flags, manifest, metadata and file.
        picture: None if the model takes no picture; then nothing is guessed.
        decoder: a detector's decoder, which may imply the normalisation.
        answers: records the source of each value.

    Raises:
        ModelError: flags or manifest contradict each other or the tensor.
    """
    said, flags = known.said.input, known.overrides
    mean, std = _normalization(known, picture, decoder, answers) or (None, None)
    guess = _guess(picture, decoder)
    resize: Resize | None = answers.pick(
        "input.resize",
        (FLAG, flags.resize),
        (MANIFEST, said.resize),
        (DECODER if decoder in LETTERBOXED else ASSUMED, guess.resize),
    )
    fill = 0 if decoder == "blazeface" else LETTERBOX_FILL  # MediaPipe pads with black
    bars = fill if resize == "letterbox" else None
    return InputSection(
        color_order=answers.pick("input.color_order", (MANIFEST, said.color_order), *_color_orders(known, picture)),
        resize=resize,
        filter=answers.pick(
            "input.filter", (FLAG, flags.resize_filter), (MANIFEST, said.filter), (ASSUMED, guess.filter)
        ),
        mean=mean,
        std=std,
        layout=answers.pick("input.layout", (MANIFEST, said.layout), (SHAPE, guess.layout)),
        letterbox_fill=answers.pick("input.letterbox_fill", (MANIFEST, said.letterbox_fill), (ASSUMED, bars)),
    )


def describe_signal(known: KnownDescriptions, answers: Precedence) -> SignalSection:
    """Fill a [signal] section from the metadata of a sound input."""
    said, inputs = known.said.signal, known.metadata.inputs if known.metadata else ()
    sound = inputs[0] if len(inputs) == 1 else None
    rate_hz = float(sound.rate_hz) if sound and sound.rate_hz else None
    mix: Literal["mix"] | None = "mix" if sound and sound.channels == 1 else None
    return msgspec.structs.replace(
        said,
        rate_hz=answers.pick("signal.rate_hz", (MANIFEST, said.rate_hz), (METADATA, rate_hz)),
        channels=answers.pick("signal.channels", (MANIFEST, said.channels), (METADATA, mix)),
    )


def missing_input(picture: Picture | None, section: InputSection, answers: Precedence) -> list[str]:
    """Return one sentence for each value that must be given before pictures can be fed."""
    if picture is None:
        return []
    if picture.open_sides:
        fact = f"input {picture.spec.name!r} leaves its height or width open, and inferd runs models of one size"
        return [f"{fact}; export it with a fixed input size"]
    tensor = f"input {picture.spec.name!r} takes {picture.spec.dtype}"
    if section.mean is None:
        return [f"{tensor}, and nothing says what pixels 0 to 255 become; give it with {NORMALIZATION_HINT}"]
    if answers.told_by.get("input.mean") == OWN_RANGE and not _is_usual(picture.spec):
        low, high = _range(picture.spec)
        fact = f"{tensor} that stands for {low:.3g} to {high:.3g}, no usual range of pixels"
        return [f"{fact}; say what pixels 0 to 255 become in training with {NORMALIZATION_HINT}"]
    return []


def find_picture(part: str, facts: ModelFileFacts, said: Layout | None) -> Picture | None:
    """Return the model's picture input; None if its one input does not have the shape of a picture.

    Args:
        part: named in errors.
        facts: of the file.
        said: the manifest's layout, which decides; without it the shape does.

    Raises:
        ModelError: the manifest's layout does not fit the shape.
    """
    found = _picture(facts.inputs[0].spec, said) if len(facts.inputs) == 1 else None
    if said is not None and found is None:
        shapes = ", ".join(str(list(one.spec.shape)) for one in facts.inputs) or "no input"
        raise ModelError(
            part, f"input.layout is {said}, but the model takes {shapes}, which is no picture of that layout"
        )
    return found


def own_range(spec: TensorSpec) -> Normalization | None:
    """Return the mean and std that put pixels 0..255 into an 8-bit tensor as they are (int8: less 128); else None."""
    if spec.dtype not in LOWEST:
        return None
    scale, zero_point = (spec.scale, spec.zero_point) if spec.quantized else (1.0, 0)
    mean = zero_point - LOWEST[spec.dtype] if spec.quantized else -LOWEST[spec.dtype]
    return (float(mean),), (1.0 / scale,)


def _range(spec: TensorSpec) -> tuple[float, float]:
    """Return the real values that the ends of a quantised 8-bit tensor stand for."""
    lowest = LOWEST[spec.dtype]
    return (lowest - spec.zero_point) * spec.scale, (lowest + PIXEL_MAX - spec.zero_point) * spec.scale


def _is_usual(spec: TensorSpec) -> bool:
    """Whether an 8-bit tensor's quantisation is that of pixels as models take them, but for what a calibration left out."""
    if not spec.quantized:
        return True
    low, high = _range(spec)
    return any(max(abs(low - begin), abs(high - end)) <= CALIBRATED * (end - begin) for begin, end in USUAL_RANGES)


def _picture(spec: TensorSpec, said: Layout | None) -> Picture | None:
    layouts: tuple[Layout, ...] = (said,) if said else ("nhwc", "nchw")
    for layout in layouts:
        found = picture_shape(_sides(spec), layout)
        if found and (said or _plausible(found)):
            return Picture(spec, layout, found.channels, open_sides=min(found.height, found.width) < 1)
    return None


def _sides(spec: TensorSpec) -> tuple[int, ...]:
    """Return the shape with -1 for a side that is open and has no size of its own; the file then says 1."""
    signature = spec.shape_signature or spec.shape
    return tuple(-1 if size == 1 and said == -1 else size for size, said in zip(spec.shape, signature, strict=True))


def _plausible(found: PictureShape) -> bool:
    """Whether the sides could be a picture's; open sides could."""
    short, long = sorted((found.height, found.width))
    return short < 1 or (short >= SIDE_MIN and long <= ASPECT_MAX * short)


def _guess(picture: Picture | None, decoder: Decoder | None) -> InputSection:
    """Return the usual values; `fast_area` answers as "area" does but for ties, four times as fast."""
    if picture is None:
        return InputSection()
    return InputSection(
        resize="letterbox" if decoder in LETTERBOXED else "stretch", filter="fast_area", layout=picture.layout
    )


def _color_orders(known: KnownDescriptions, picture: Picture | None) -> tuple[tuple[str, ColorOrder | None], ...]:
    if picture is None:
        return ()
    if picture.channels == 1:
        return ((SHAPE, "gray"),)
    tensor = _picture_metadata(known, picture)
    return (METADATA, tensor.color_order if tensor else None), (ASSUMED, "rgb")


def _picture_metadata(known: KnownDescriptions, picture: Picture | None) -> TensorMetadata | None:
    return known.metadata.inputs[0] if picture and known.metadata and known.metadata.inputs else None


def _normalization(
    known: KnownDescriptions, picture: Picture | None, decoder: Decoder | None, answers: Precedence
) -> Normalization | None:
    """Return mean and std from one source: never mean from one and std from another."""
    flags = InputSection(mean=known.overrides.mean, std=known.overrides.std)
    require_normalization(known.part, flags)
    # No entry for "yolov5": YOLOv5 takes 0 to 1, YOLOX 0 to 255.
    usual: dict[Decoder, Normalization] = {"blazeface": ((HALF,), (HALF,)), "yolov8": ((0.0,), (float(PIXEL_MAX),))}
    of_decoder: Normalization | None = usual.get(decoder) if picture and decoder else None
    chosen = answers.pick(
        "input.mean",
        (FLAG, _as_mean_std(flags)),
        (MANIFEST, _as_mean_std(known.said.input)),
        (METADATA, _of_metadata(_picture_metadata(known, picture), picture)),
        (OWN_RANGE, own_range(picture.spec) if picture else None),
        (DECODER, of_decoder),
    )
    if chosen is None:
        return None
    answers.told_by["input.std"] = answers.told_by["input.mean"]
    _require_channels(known.part, chosen, picture)
    return chosen


def _as_mean_std(section: InputSection) -> Normalization | None:
    if section.range is not None:
        low, high = section.range
        std = PIXEL_MAX / (high - low)
        return (-low * std,), (std,)
    return (section.mean, section.std) if section.mean is not None and section.std is not None else None


def _of_metadata(tensor: TensorMetadata | None, picture: Picture | None) -> Normalization | None:
    """Return the metadata's mean and std, or the tensor's own range if the two differ by rounding only.

    Exporters copy the float model's numbers (or 0 and 1, for "nothing to do") into the quantised model. Applied literally
    they would shift half of all pixels by one step, or saturate.
    """
    if tensor is None or picture is None or not tensor.mean:
        return None
    told: Normalization = (tensor.mean, tensor.std)
    own = own_range(picture.spec)
    return own if own and (_is_nothing(told) or _is_within_a_step(told, own, picture.spec.scale)) else told


def _is_nothing(told: Normalization) -> bool:
    return set(told[0]) == {0.0} and set(told[1]) == {1.0}


def _is_within_a_step(told: Normalization, own: Normalization, scale: float) -> bool:
    """Whether both map pixels to the same values within one quantisation step; both are linear, so the ends suffice."""
    return all(
        abs((pixel - mean) / std - (pixel - own[0][0]) / own[1][0]) <= scale * ONE_STEP
        for pixel in (0, PIXEL_MAX)
        for mean in told[0]
        for std in told[1]
    )


def _require_channels(part: str, chosen: Normalization, picture: Picture | None) -> None:
    for key, values in zip(("mean", "std"), chosen, strict=True):
        if picture and len(values) not in (1, picture.channels):
            wanted = "1" if picture.channels == 1 else f"1 or {picture.channels}"
            raise ModelError(part, f"input.{key} has {len(values)} values, but the picture takes {wanted}")
