"""The description of a model: who is believed, what is guessed, what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.models.collection import model_path, with_published
from fixtures.models.tflite_writer import (
    CONV_2D,
    CUSTOM,
    FLOAT_PICTURE,
    FULLY_CONNECTED,
    INT8,
    PICTURE,
    UINT8,
    MetadataMade,
    ModelMade,
    TensorMade,
    classifier,
    write_model,
)
from inferd.config.settings import Overrides
from inferd.errors import ModelError
from inferd.store.description.describe import describe
from inferd.wire.manifest import ModelDescription

POSTPROCESS = "TFLite_Detection_PostProcess"
DETECTOR = ModelMade([PICTURE], [TensorMade((), name=f"{n}") for n in range(4)], CUSTOM, POSTPROCESS)
BLAZEFACE = ModelMade([FLOAT_PICTURE], [TensorMade((1, 896, 16)), TensorMade((1, 896, 1))], CONV_2D)
EMBEDDER = ModelMade([PICTURE], [TensorMade((1, 128))], 1)  # AVERAGE_POOL_2D


def described(
    folder: Path, model: ModelMade, flags: Overrides | None = None, manifest: str | None = None
) -> ModelDescription:
    beside = {} if manifest is None else {"m.toml": manifest}
    return describe(write_model(folder, model, beside), flags or Overrides(), None)


def test_a_picture_in_and_a_softmax_out_is_a_classifier(tmp_path: Path) -> None:
    found = described(tmp_path, classifier())
    assert (found.manifest.model.task, found.told_by["model.task"]) == ("classify", "graph")


def test_one_row_of_scores_with_labels_is_a_classifier_whatever_goes_in(tmp_path: Path) -> None:
    sound = ModelMade([TensorMade((15600,))], [TensorMade((1, 2))])
    path = write_model(tmp_path, sound, {"m.txt": "a\nb\n"})
    assert describe(path, Overrides(), None).manifest.model.task == "classify"


@pytest.mark.parametrize(
    "model", [EMBEDDER, ModelMade([TensorMade((1, 640))], [TensorMade((1, 640))], FULLY_CONNECTED)]
)
def test_what_cannot_be_told_is_raw(tmp_path: Path, model: ModelMade) -> None:
    assert described(tmp_path, model).manifest.model.task == "raw"


@pytest.mark.parametrize(("model", "decoder"), [(DETECTOR, "tflite_detection_postprocess"), (BLAZEFACE, "blazeface")])
def test_a_detector_is_known_by_its_outputs(tmp_path: Path, model: ModelMade, decoder: str) -> None:
    found = described(tmp_path, model).manifest
    assert (found.model.task, found.output.decoder) == ("detect", decoder)


def test_blazeface_knows_what_pixels_become_and_how_boxes_merge(tmp_path: Path) -> None:
    found = described(tmp_path, BLAZEFACE)
    section = found.manifest.output
    assert (found.manifest.input.mean, found.manifest.input.std) == ((127.5,), (127.5,))
    assert (section.activation, section.iou_threshold, found.missing) == ("sigmoid", 0.3, ())


def test_a_float_picture_without_metadata_asks_for_mean_and_std(tmp_path: Path) -> None:
    found = described(tmp_path, classifier(picture=FLOAT_PICTURE))
    assert found.manifest.input.mean is None
    assert len(found.missing) == 1
    assert "--mean and --std" in found.missing[0]
    assert "[input] of the manifest" in found.missing[0]


def test_a_raw_task_misses_nothing(tmp_path: Path) -> None:
    assert described(tmp_path, classifier(picture=FLOAT_PICTURE), Overrides(task="raw")).missing == ()


def test_a_detector_without_a_known_decoder_asks_for_it(tmp_path: Path) -> None:
    assert "set decoder under [output]" in described(tmp_path, EMBEDDER, Overrides(task="detect")).missing[0]


@pytest.mark.parametrize(
    ("picture", "mean", "std"),
    [
        (TensorMade((1, 16, 16, 3), UINT8, 1 / 128, 128), 128.0, 128.0),
        (TensorMade((1, 16, 16, 3), UINT8, 1.0, 0), 0.0, 1.0),
        (TensorMade((1, 16, 16, 3), INT8, 1.0, -128), 0.0, 1.0),
        (TensorMade((1, 16, 16, 3), INT8, 0.5, 0), 128.0, 2.0),
        (TensorMade((1, 16, 16, 3), UINT8), 0.0, 1.0),
        (TensorMade((1, 16, 16, 3), INT8), 128.0, 1.0),
    ],
)
def test_an_8_bit_picture_spans_the_tensors_own_range(
    tmp_path: Path, picture: TensorMade, mean: float, std: float
) -> None:
    found = described(tmp_path, classifier(picture=picture))
    told = found.told_by["input.mean"]
    assert (found.manifest.input.mean, found.manifest.input.std, told) == ((mean,), (std,), "assumed from quantisation")


@pytest.mark.parametrize(("low", "high"), [(-2.12, 2.64), (0.0, 0.5), (0.0, 6.2)])
def test_a_quantisation_that_is_no_usual_range_of_pixels_asks_what_pixels_become(
    tmp_path: Path, low: float, high: float
) -> None:
    scale = (high - low) / 255
    odd = classifier(picture=TensorMade((1, 16, 16, 3), UINT8, scale, round(-low / scale)))
    (missing,) = described(tmp_path, odd).missing
    assert "no usual range of pixels; say what pixels 0 to 255 become" in missing
    assert described(tmp_path, odd, manifest="[input]\nmean = [123.7]\nstd = [58.4]").missing == ()


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.96), (-0.98, 1.0), (0.0, 250.0), (-1.0, 0.992), (-0.5, 0.5)])
def test_a_quantisation_that_a_calibration_cut_short_is_usual(tmp_path: Path, low: float, high: float) -> None:
    scale = (high - low) / 255
    model = classifier(picture=TensorMade((1, 16, 16, 3), UINT8, scale, round(-low / scale)))
    assert described(tmp_path, model).missing == ()


@pytest.mark.parametrize(
    ("shape", "layout", "color_order"),
    [((1, 16, 16, 3), "nhwc", "rgb"), ((1, 3, 16, 16), "nchw", "rgb"), ((1, 8, 8, 1), "nhwc", "gray")],
)
def test_layout_and_colours_follow_from_the_shape(
    tmp_path: Path, shape: tuple[int, ...], layout: str, color_order: str
) -> None:
    section = described(tmp_path, classifier(picture=TensorMade(shape, UINT8))).manifest.input
    assert (section.layout, section.color_order) == (layout, color_order)


@pytest.mark.parametrize("shape", [(1, 49, 10, 1), (1, 128, 3, 1), (1, 640), (15600,)])
def test_audio_and_motion_are_no_pictures(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert described(tmp_path, classifier(picture=TensorMade(shape, UINT8))).manifest.input.layout is None


def test_a_layout_that_is_said_makes_a_picture_of_an_odd_shape(tmp_path: Path) -> None:
    odd = classifier(picture=TensorMade((1, 49, 10, 1), UINT8))
    assert described(tmp_path, odd, manifest="[input]\nlayout = 'nhwc'").manifest.input.color_order == "gray"


def test_a_layout_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"input.layout is nchw, but the model takes \[1, 16, 16, 3\]"):
        described(tmp_path, classifier(), manifest="[input]\nlayout = 'nchw'")


@pytest.mark.parametrize(
    ("output", "operator", "activation"),
    [
        (TensorMade((1, 3)), 25, "none"),
        (TensorMade((1, 3)), 14, "none"),
        (TensorMade((1, 3)), FULLY_CONNECTED, "softmax"),
        (TensorMade((1, 3), UINT8, 1 / 256, 0), FULLY_CONNECTED, "none"),
        (TensorMade((1, 3), INT8, 1 / 256, -128), FULLY_CONNECTED, "none"),
        (TensorMade((1, 3), INT8, 1 / 256, 0), FULLY_CONNECTED, "softmax"),
        (TensorMade((1, 3), INT8, 0.2, -128), FULLY_CONNECTED, "softmax"),
    ],
)
def test_the_activation_follows_from_what_makes_the_output(
    tmp_path: Path, output: TensorMade, operator: int, activation: str
) -> None:
    assert described(tmp_path, ModelMade([PICTURE], [output], operator)).manifest.output.activation == activation


def test_rate_and_channel_of_a_sound_come_from_metadata_unless_the_manifest_says_them(tmp_path: Path) -> None:
    sound = TensorMade((15600,), name="clip")
    model = classifier(picture=sound, metadata=MetadataMade(sound=(16000, 1)).content())
    by_metadata = described(tmp_path, model)
    by_manifest = described(tmp_path, model, manifest="[signal]\nrate_hz = 8000\nchannels = [1]")
    assert (by_metadata.manifest.signal.rate_hz, by_metadata.manifest.signal.channels) == (16000.0, "mix")
    assert by_metadata.told_by["signal.rate_hz"] == by_metadata.told_by["signal.channels"] == "metadata"
    assert (by_manifest.manifest.signal.rate_hz, by_manifest.manifest.signal.channels) == (8000.0, (1,))


def test_flags_win_over_the_manifest_which_wins_over_metadata(tmp_path: Path) -> None:
    metadata = MetadataMade(mean=(1.0,), std=(2.0,), threshold=0.1)
    model = classifier(picture=FLOAT_PICTURE, metadata=metadata.content())
    by_metadata = described(tmp_path, model).manifest
    by_manifest = described(tmp_path, model, manifest="[input]\nmean=[3]\nstd=[4]\n[output]\nthreshold=0.2").manifest
    by_flag = described(tmp_path, model, Overrides(mean=(5.0,), std=(6.0,), threshold=0.3)).manifest
    found = [(one.input.mean, one.output.threshold) for one in (by_metadata, by_manifest, by_flag)]
    assert found == [((1.0,), pytest.approx(0.1)), ((3.0,), 0.2), ((5.0,), 0.3)]


def test_a_range_becomes_mean_and_std(tmp_path: Path) -> None:
    section = described(tmp_path, classifier(picture=FLOAT_PICTURE), manifest="[input]\nrange = [-1, 1]").manifest.input
    assert (section.mean, section.std, section.range) == ((127.5,), (127.5,), None)


@pytest.mark.parametrize(("mean", "std"), [(127.5, 127.5), (0.0, 1.0)])
def test_metadata_that_means_pixels_as_they_are_leaves_them_so(tmp_path: Path, mean: float, std: float) -> None:
    found = described(tmp_path, classifier(metadata=MetadataMade(mean=(mean,), std=(std,)).content()))
    assert (found.manifest.input.mean, found.told_by["input.mean"]) == ((128.0,), "metadata")


def test_metadata_that_means_something_else_is_followed(tmp_path: Path) -> None:
    found = described(tmp_path, classifier(metadata=MetadataMade(mean=(100.0,), std=(50.0,)).content()))
    assert (found.manifest.input.mean, found.manifest.input.std) == ((100.0,), (50.0,))


def test_a_mean_for_more_channels_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"input.mean has 2 values, but the picture takes 1 or 3"):
        described(tmp_path, classifier(), Overrides(mean=(1.0, 2.0), std=(1.0, 2.0)))


def test_a_mean_without_a_std_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="only one of mean and std"):
        described(tmp_path, classifier(), Overrides(mean=(1.0,)))


def test_a_threshold_flag_out_of_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"output.threshold is 50"):
        described(tmp_path, classifier(), Overrides(threshold=50.0))


def test_each_task_has_its_own_threshold_and_count(tmp_path: Path) -> None:
    classify, detect = described(tmp_path, classifier()), described(tmp_path, DETECTOR)
    found = [(one.manifest.output.threshold, one.manifest.output.top_k) for one in (classify, detect)]
    assert found == [(0.0, 5), (0.5, 25)]


def test_a_model_is_named_by_flag_then_manifest_then_file(tmp_path: Path) -> None:
    path = write_model(tmp_path, classifier(), {})
    by_file = describe(path, Overrides(), None).ref.name
    write_model(tmp_path, classifier(), {"m.toml": "[model]\nname = 'said'\nversion = '3'"})
    by_manifest, by_flag = describe(path, Overrides(), None).ref, describe(path, Overrides(), "flag").ref
    assert (by_file, by_manifest.name, by_manifest.version, by_flag.name) == ("m", "said", "3", "flag")


def test_a_folder_of_its_own_names_the_model_and_its_version(tmp_path: Path) -> None:
    folder = tmp_path / "cats" / "1.2"
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(classifier().content())
    (folder / "labels.txt").write_text("a\nb\nc\n")
    found = describe(folder, Overrides(), None)
    assert (found.ref.name, found.ref.version, found.labels) == ("cats", "1.2", ("a", "b", "c"))


@pytest.mark.parametrize(("make", "sentence"), [(False, "is not there"), (True, "is a folder without a model.tflite")])
def test_a_model_that_is_not_there_is_told(tmp_path: Path, *, make: bool, sentence: str) -> None:
    path = tmp_path / "gone"
    if make:
        path.mkdir()
    with pytest.raises(ModelError, match=f"^gone: {sentence}"):
        describe(path, Overrides(), None)


def test_the_digest_changes_with_model_manifest_or_labels_and_with_nothing_else(tmp_path: Path) -> None:
    bare = described(tmp_path, classifier()).ref.digest
    again = described(tmp_path, classifier(), Overrides(top_k=1)).ref.digest
    with_manifest = described(tmp_path, classifier(), manifest="").ref.digest
    (tmp_path / "m.txt").write_text("a\nb\nc\n")
    with_labels = described(tmp_path, classifier()).ref.digest
    (tmp_path / "m.txt").write_text("a\nb\nd\n")
    mended = described(tmp_path, classifier()).ref.digest
    assert bare == again
    assert len({bare, with_manifest, with_labels, mended}) == 4


def test_a_description_crosses_to_another_process(tmp_path: Path) -> None:
    found = described(tmp_path, classifier(), manifest="[output]\nlabels = ['a', 'b', 'c']")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=ModelDescription) == found


OURS: dict[str, tuple[Any, ...]] = {  # Any: task, decoder, activation, labels, what is missing
    "bundled/digits": ("classify", None, "none", 10, 0),
    "own/own_digits/digits_v1_float": ("classify", None, "none", 0, 1),
    "own/own_digits/digits_v1_dynrange": ("classify", None, "none", 0, 1),
    "own/own_digits/digits_v2_int8": ("classify", None, "none", 0, 0),
    "own/own_digits/digits_trainable": ("raw", None, None, 0, 0),
    "tiny/bright_cells": ("detect", "tflite_detection_postprocess", "none", 0, 0),
    "tiny/counting": ("raw", None, None, 0, 0),
    "tiny/sums": ("raw", None, None, 0, 0),
}
PUBLISHED: dict[str, tuple[Any, ...]] = {  # Any: as above
    "classify/mobilenet_v2_1.0_224_quant": ("classify", None, "none", 1001, 0),
    "classify/mobilenet_v2_1.0_224_quant_nometa": ("classify", None, "none", 0, 0),
    "classify/mobilenet_v1_0.25_224_float": ("classify", None, "none", 0, 1),
    "classify/vww_96_int8": ("classify", None, "none", 0, 0),
    "classify/vww_96_float": ("classify", None, "none", 0, 1),
    "classify/resnet8_cifar10_int8": ("classify", None, "none", 0, 0),
    "detect/coco_ssd_mobilenet_v1_quant": ("detect", "tflite_detection_postprocess", "none", 90, 0),
    "detect/face_detection_short_range": ("detect", "blazeface", "sigmoid", 0, 0),
    "audio_sensor/yamnet_audio_classifier": ("classify", None, "none", 521, 0),
    "audio_sensor/kws_ref_model_int8": ("raw", None, None, 0, 0),
    "embed/mobilenet_v2_035_96_embedder": ("raw", None, None, 0, 0),
    "pose_segment/movenet_lightning_ptq": ("pose", "movenet", None, 0, 0),
}


@pytest.mark.parametrize(("name", "expected"), with_published(OURS.items(), PUBLISHED.items()))
def test_a_real_model_is_understood(name: str, expected: tuple[Any, ...]) -> None:
    path = model_path(name)
    found = describe(path if path.is_file() else path.with_suffix(""), Overrides(), None)
    output = found.manifest.output
    understood = (found.manifest.model.task, output.decoder, output.activation, len(found.labels), len(found.missing))
    assert understood == expected


@pytest.mark.parametrize(
    "name",
    with_published(
        ["own/own_digits/digits_v1_int8", "bundled/digits/model"],
        ["classify/mobilenet_v2_1.0_224_quant", "classify/vww_96_int8", "detect/coco_ssd_mobilenet_v1_quant"],
    ),
)
def test_a_real_quantised_model_takes_pixels_as_they_are(name: str) -> None:
    found = describe(model_path(name), Overrides(), None)
    spec, section = found.facts.inputs[0].spec, found.manifest.input
    assert section.mean is not None
    assert section.std is not None
    lowest = 0 if spec.dtype == "uint8" else -128
    stored = [round((pixel - section.mean[0]) / section.std[0] / spec.scale) + spec.zero_point for pixel in range(256)]
    assert stored == [pixel + lowest for pixel in range(256)]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_an_activation_after_that_of_the_graph_is_refused(tmp_path: Path, activation: str) -> None:
    """A second softmax answers about 1 / n for each class, and none above any threshold."""
    with pytest.raises(ModelError, match=r"ends with SOFTMAX already; activation = .* would be a second one"):
        described(tmp_path, classifier(), manifest=f"[output]\nactivation = '{activation}'")
