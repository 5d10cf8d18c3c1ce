"""The tensor must be what the obvious slow way gives: cut, resize, convert, calculate, round."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fixtures.media.pictures import noise
from fixtures.models.collection import find_assets
from fixtures.models.descriptions import describe, engine_info, picture_frame
from fixtures.paths import PHOTOS
from inferd.errors import ModelError, SourceError
from inferd.preprocess import build
from inferd.preprocess.image.resize import INTERPOLATIONS
from inferd.preprocess.image.steps import ImagePreprocess
from inferd.records import Array, ColorOrder, Frame, TensorSpec
from inferd.wire.manifest import InputSection

WHOLE = (0.0, 0.0, 1.0, 1.0)
PM1 = InputSection(filter="area", mean=(127.5,), std=(127.5,))  # plus and minus one


def spec(dtype: str, shape: Sequence[int] = (1, 24, 32, 3), scale: float = 0.0, zero_point: int = 0) -> TensorSpec:
    return TensorSpec("input", tuple(shape), dtype, tuple(shape), scale, zero_point)


def frame(picture: Array) -> Frame:
    return picture_frame(picture)


def filled(section: InputSection, tensor: TensorSpec, frame: Frame, roi: tuple[float, ...] = WHOLE) -> Array:
    """Return the tensor after one frame; it starts full of rubbish, as the runtime's memory may."""
    view = np.full(tensor.shape, 77, tensor.dtype)
    y0, x0, y1, x1 = roi
    ImagePreprocess(section, tensor, (y0, x0, y1, x1))(frame, [view])
    return view


def reference(picture: Array, size: tuple[int, int], interpolation: int = cv2.INTER_AREA) -> Array:
    return np.asarray(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), size, interpolation=interpolation))


@pytest.mark.parametrize("name", sorted(INTERPOLATIONS))
def test_every_filter_is_opencvs_own(name: str) -> None:
    picture = noise(48, 64)
    section = InputSection(filter=name)  # type: ignore[arg-type]  # the keys are its literals
    expected = reference(picture, (32, 24), INTERPOLATIONS[name])
    assert np.array_equal(filled(section, spec("uint8"), frame(picture))[0], expected)


def test_pixels_reach_a_plain_uint8_tensor_as_they_are_whatever_its_scale() -> None:
    picture = noise(48, 64)
    tensor = filled(InputSection(filter="area"), spec("uint8", scale=0.0078125, zero_point=128), frame(picture))
    assert np.array_equal(tensor[0], reference(picture, (32, 24)))


def test_pixels_reach_a_plain_int8_tensor_shifted_by_128() -> None:
    picture = noise(48, 64)
    tensor = filled(InputSection(filter="area"), spec("int8", scale=1.0, zero_point=-128), frame(picture))
    assert np.array_equal(tensor[0], reference(picture, (32, 24)).astype(np.int16) - 128)


@pytest.mark.parametrize(
    ("section", "low", "high"),
    [
        (PM1, -1.0, 1.0),
        (InputSection(filter="area", range=(0.0, 1.0)), 0.0, 1.0),
        (InputSection(filter="area", range=(0.0, 255.0)), 0.0, 255.0),
        (InputSection(filter="area", mean=(0.0,), std=(255.0,)), 0.0, 1.0),
    ],
)
def test_float_tensors_get_the_range_that_was_said(section: InputSection, low: float, high: float) -> None:
    picture = noise(48, 64)
    expected = low + reference(picture, (32, 24)) * ((high - low) / 255)
    tensor = filled(section, spec("float32"), frame(picture))
    np.testing.assert_allclose(tensor[0], expected, rtol=1e-5, atol=2e-6 * (high - low))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_each_channel_may_have_its_own_mean_and_std(dtype: str) -> None:
    picture = noise(48, 64)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    tensor = filled(InputSection(filter="area", mean=mean, std=std), spec(dtype), frame(picture))
    expected = ((reference(picture, (32, 24)) - np.array(mean)) / np.array(std)).astype(dtype)
    np.testing.assert_allclose(tensor[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [("uint8", 0.0078125, 128), ("int8", 0.02, -5), ("uint8", 0.5, 3), ("int16", 1 / 32768, 0), ("int8", 1 / 127, 0)],
)
def test_quantised_tensors_get_what_the_formula_gives(dtype: str, scale: float, zero_point: int) -> None:
    picture = noise(48, 64)
    tensor = filled(PM1, spec(dtype, (1, 24, 32, 3), scale, zero_point), frame(picture))
    real = (reference(picture, (32, 24)) - 127.5) / 127.5
    limits = np.iinfo(dtype)
    assert np.array_equal(tensor[0], np.clip(np.round(real / scale + zero_point), limits.min, limits.max))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_tensors_without_a_scale_get_rounded_values(dtype: str) -> None:
    picture = noise(48, 64)
    tensor = filled(InputSection(filter="area", range=(0.0, 255.0)), spec(dtype), frame(picture))
    assert np.array_equal(tensor[0], reference(picture, (32, 24)))


@pytest.mark.parametrize(
    ("dtype", "section"),
    [
        ("uint8", InputSection(filter="area", layout="nchw")),
        ("int8", InputSection(filter="area")),
        ("float32", InputSection(filter="area", range=(0.0, 255.0))),
        ("float16", InputSection(filter="area", range=(0.0, 255.0))),
    ],
)
def test_channels_may_come_first(dtype: str, section: InputSection) -> None:
    picture = noise(48, 64)
    tensor = filled(section, spec(dtype, (1, 3, 24, 32)), frame(picture)).astype(np.float64)
    expected = reference(picture, (32, 24)).transpose(2, 0, 1).astype(np.float64) - (128 if dtype == "int8" else 0)
    np.testing.assert_allclose(tensor[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "order", "wanted", "code"),
    [
        ((48, 64, 3), "bgr", "bgr", None),
        ((48, 64, 3), "rgb", "rgb", None),
        ((48, 64, 3), "rgb", "bgr", cv2.COLOR_RGB2BGR),
        ((48, 64, 4), "bgr", "rgb", cv2.COLOR_BGRA2RGB),
        ((48, 64, 4), "bgr", "bgr", cv2.COLOR_BGRA2BGR),
        ((48, 64), "gray", "rgb", cv2.COLOR_GRAY2RGB),
        ((48, 64), "bgr", "bgr", cv2.COLOR_GRAY2BGR),
        ((48, 64, 1), "gray", "rgb", cv2.COLOR_GRAY2RGB),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_colours_come_in_the_order_of_the_model(
    shape: tuple[int, ...], order: ColorOrder, wanted: ColorOrder, code: int | None, dtype: str
) -> None:
    picture = noise(shape[0], shape[1], shape[2] if len(shape) > 2 else 1).reshape(shape)
    section = InputSection(filter="area", color_order=wanted)
    tensor = filled(section, spec(dtype), replace(frame(picture), color_order=order))
    small = np.asarray(cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA))
    expected = small if code is None else np.asarray(cv2.cvtColor(small, code))
    assert np.array_equal(tensor[0].astype(np.int16) + (128 if dtype == "int8" else 0), expected)


@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64, 4), (48, 64), (48, 64, 1)])
@pytest.mark.parametrize(("dtype", "shift"), [("uint8", 0), ("int8", -128), ("float32", 0)])
def test_a_grey_model_gets_grey(shape: tuple[int, ...], dtype: str, shift: int) -> None:
    picture = noise(shape[0], shape[1], shape[2] if len(shape) > 2 else 1).reshape(shape)
    section = InputSection(filter="area", range=(0.0, 255.0) if dtype == "float32" else None)
    tensor = filled(section, spec(dtype, (1, 24, 32, 1)), frame(picture))
    small = np.asarray(cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA))
    gray = small.reshape(24, 32) if small.ndim == 2 or small.shape[2] == 1 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    np.testing.assert_allclose(tensor[0, :, :, 0].astype(np.float64), np.asarray(gray, np.float64) + shift, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
@pytest.mark.parametrize("wanted", ["rgb", "bgr"])
def test_bars_are_painted_for_every_frame_anew(dtype: str, wanted: ColorOrder) -> None:
    section = InputSection(resize="letterbox", letterbox_fill=9, color_order=wanted, range=(0.0, 255.0))
    if dtype != "float32":
        section = InputSection(resize="letterbox", letterbox_fill=9, color_order=wanted)
    tensor = spec(dtype, (1, 32, 32, 3))
    preprocess = ImagePreprocess(section, tensor, WHOLE)
    view = np.zeros(tensor.shape, dtype)
    for _ in range(2):
        view.fill(77)
        preprocess(frame(noise(48, 64)), [view])
        bars = np.concatenate((view[0, :4], view[0, -4:])).astype(np.float64)
        np.testing.assert_allclose(bars, 9 - (128 if dtype == "int8" else 0), atol=1e-5)


def test_a_letterboxed_picture_is_what_a_padded_square_gives() -> None:
    picture = noise(355, 512)
    square = np.zeros((512, 512, 3), np.uint8)
    square[78 : 78 + 355] = picture
    tensor = filled(InputSection(resize="letterbox", filter="area"), spec("uint8", (1, 128, 128, 3)), frame(picture))
    assert np.array_equal(tensor[0], reference(square, (128, 128)))


def test_a_crop_is_the_middle() -> None:
    picture = noise(48, 64)
    tensor = filled(InputSection(resize="crop", filter="area"), spec("uint8", (1, 24, 24, 3)), frame(picture))
    assert np.array_equal(tensor[0], reference(picture[:, 8:56], (24, 24)))


def test_a_region_of_interest_is_cut_out_first() -> None:
    picture = noise(48, 64)
    roi = (0.25, 0.5, 0.75, 1.0)
    tensor = filled(InputSection(filter="area"), spec("uint8", (1, 12, 16, 3)), frame(picture), roi)
    assert np.array_equal(tensor[0], reference(picture[12:36, 32:], (16, 12)))


def test_frames_may_change_their_size_from_one_to_the_next() -> None:
    tensor = spec("uint8")
    preprocess = ImagePreprocess(InputSection(filter="area"), tensor, WHOLE)
    view = np.zeros(tensor.shape, np.uint8)
    for height, width in ((48, 64), (100, 50), (48, 64), (24, 32), (7, 9)):
        picture = noise(height, width)
        preprocess(frame(picture), [view])
        assert np.array_equal(view[0], reference(picture, (32, 24)))


def test_a_read_only_view_of_a_larger_picture_is_a_picture() -> None:
    picture = noise(100, 100)
    picture.flags.writeable = False
    part = picture[10:58, 20:84]
    tensor = filled(InputSection(filter="area"), spec("uint8"), frame(part))
    assert np.array_equal(tensor[0], reference(part.copy(), (32, 24)))


def test_the_frame_is_not_changed() -> None:
    picture = noise(48, 64)
    filled(InputSection(resize="letterbox", range=(-1.0, 1.0)), spec("float32"), frame(picture))
    assert np.array_equal(picture, noise(48, 64))


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(9, np.uint8),
    ],
)
def test_what_is_no_picture_is_named(data: Array) -> None:
    with pytest.raises(SourceError, match=r"shot\.npy: is \w+ of shape"):
        filled(InputSection(), spec("uint8"), picture_frame(data, "shot.npy"))


def test_a_float_model_of_which_nothing_is_known_asks_for_the_range() -> None:
    with pytest.raises(ModelError, match=r"say input\.range"):
        ImagePreprocess(InputSection(), spec("float32"), WHOLE)


def test_a_mean_for_the_wrong_number_of_channels_is_named() -> None:
    with pytest.raises(ModelError, match=r"input\.mean has 2 values"):
        ImagePreprocess(InputSection(mean=(1.0, 2.0)), spec("float32"), WHOLE)


def test_a_std_of_zero_is_named() -> None:
    with pytest.raises(ModelError, match=r"input\.std must not be 0"):
        ImagePreprocess(InputSection(std=(0.0,)), spec("float32"), WHOLE)


@pytest.mark.parametrize("shape", [(1, 640), (8, 24, 32, 3), (1, 24, 32, 5), (), (1, 0, 32, 3), (1, 3, 40)])
def test_a_tensor_that_is_no_picture_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="which is no picture"):
        ImagePreprocess(InputSection(), spec("uint8", shape), WHOLE)


def test_a_picture_for_a_model_that_takes_none_is_an_error_of_the_frame() -> None:
    info = engine_info([spec("float32", (1, 640))], [])
    preprocess = build(describe(), info, WHOLE)
    with pytest.raises(SourceError, match=r"a\.jpg: is a picture, but input: takes shape \[1, 640\]"):
        preprocess(picture_frame(noise(4, 4), "a.jpg"), [np.zeros((1, 640), np.float32)])


def test_a_picture_model_may_be_fed_tensors() -> None:
    info = engine_info([spec("uint8")], [])
    view = np.zeros((1, 24, 32, 3), np.uint8)
    values = noise(24, 32)[None]
    build(describe(), info, WHOLE)(replace(frame(noise(4, 4)), data={"input": values}), [view])
    assert np.array_equal(view, values)


@pytest.mark.parametrize("size", [224, 300, 128, 96])
def test_real_pictures_become_what_the_reference_makes_of_them(size: int) -> None:
    assets = find_assets()
    folders = [PHOTOS, *([assets / "images"] if assets else [])]
    for file in (file for folder in folders for file in sorted(folder.glob("*.jpg"))):
        picture = np.asarray(cv2.imread(str(file)))
        tensor = filled(InputSection(filter="area"), spec("uint8", (1, size, size, 3)), frame(picture))
        assert np.array_equal(tensor[0], reference(picture, (size, size)))


def test_pictures_of_many_sizes_keep_buffers_for_a_few_only() -> None:
    wanted = spec("uint8", (1, 32, 32, 3))
    description = describe(InputSection(filter="fast_area"))
    steps = build(description, engine_info([wanted], []), WHOLE)
    tensor = np.zeros(wanted.shape, np.uint8)
    steps(frame(noise(300, 400)), [tensor])
    tracemalloc.start()
    for number in range(30):
        steps(frame(noise(300 + number, 400)), [tensor])
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 6 * 150 * 200 * 3 + 2**20
