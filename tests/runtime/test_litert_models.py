"""Every model of ours, and every published one, gives through the engine the very bits that a bare interpreter gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.models.collection import OUR_MODELS, model_path, published_only, with_published
from inferd.config import settings
from inferd.errors import EngineError
from inferd.records import Array, TensorSpec
from inferd.runtime.library import PREFERRED, find_runtime
from inferd.runtime.litert import LiteRt
from inferd.system.clock import CountingClock

UNFUSED = "experimental_disable_delegate_node_fusion"

PUBLISHED = [
    "audio_sensor/ad01_fp32",
    "audio_sensor/ad01_int8",
    "audio_sensor/hello_world_int8",
    "audio_sensor/kws_ref_model_float",
    "audio_sensor/kws_ref_model_int8",
    "audio_sensor/magic_wand_accel",
    "audio_sensor/okay_nabu",
    "audio_sensor/yamnet_audio_classifier",
    "classify/mobilenet_v1_0.25_128_quant",
    "classify/mobilenet_v1_0.25_224_float",
    "classify/mobilenet_v1_0.25_224_quant",
    "classify/mobilenet_v2_1.0_224_quant",
    "classify/mobilenet_v2_1.0_224_quant_nometa",
    "classify/resnet8_cifar10_float",
    "classify/resnet8_cifar10_int8",
    "classify/vww_96_float",
    "classify/vww_96_int8",
    "detect/coco_ssd_mobilenet_v1_quant",
    "detect/face_detection_short_range",
    "embed/mobilenet_v1_1.0_224_quant_embedding_extractor",
    "embed/mobilenet_v2_035_96_embedder",
    "malformed/bitflip_mid",
    "malformed/split_concat_cpu",
    "pose_segment/movenet_lightning_ptq",
    "pose_segment/deeplabv3_mnv2_dm05_pascal_quant",
]
TENSOR_CASES = [
    "audio_sensor/kws_ref_model_int8",
    "audio_sensor/kws_ref_model_float",
    "audio_sensor/ad01_int8",
    "audio_sensor/ad01_fp32",
    "audio_sensor/magic_wand_accel",
    "audio_sensor/hello_world_int8",
    "audio_sensor/okay_nabu",
    "audio_sensor/yamnet_audio_classifier",
    "embed/mobilenet_v2_035_96_embedder",
    "embed/mobilenet_v1_1.0_224_quant_embedding_extractor",
    "pose_segment/movenet_lightning_ptq",
    "pose_segment/deeplabv3_mnv2_dm05_pascal_quant",
    "detect/face_detection_short_range",
    "malformed/split_concat_cpu",
]
THREADS = 2


MODELS = with_published([*OUR_MODELS, "tiny/all_dtypes"], PUBLISHED)


def load(model: str) -> LiteRt:
    """Load a model, or skip where tflite-runtime is too old for one of its operators (the refusal says so)."""
    try:
        return LiteRt(str(model_path(model)), settings.EngineConfig(threads=THREADS), CountingClock(), model)
    except EngineError as exc:
        if find_runtime().distribution == PREFERRED or "does not have" not in exc.message:
            raise
        pytest.skip(str(exc))


def noise(spec: TensorSpec, random: np.random.Generator) -> Array:
    """Return an array as a tensor asks for it: floats of 0..1, whole numbers of all that the type can hold."""
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return random.random(spec.shape).astype(dtype)
    if dtype.kind == "b":
        return random.random(spec.shape) < 0.5
    if dtype.kind == "c":
        return (random.random(spec.shape) + 1j * random.random(spec.shape)).astype(dtype)
    return random.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, spec.shape, dtype, endpoint=True)


def through_engine(engine: LiteRt, inputs: Sequence[Array]) -> list[Array]:
    def into(views: Sequence[Array]) -> None:
        for view, array in zip(views, inputs, strict=True):
            view[...] = array

    engine.write(into)
    engine.invoke()
    return engine.read(lambda views: [view.copy() for view in views])


def through_interpreter(bare: Any, inputs: Sequence[Array]) -> list[Array]:  # Any: the runtimes ship no types
    for tensor, array in zip(bare.get_input_details(), inputs, strict=True):
        bare.set_tensor(tensor["index"], array)
    bare.invoke()
    return [bare.get_tensor(tensor["index"]) for tensor in bare.get_output_details()]


def same_bits(ours: Sequence[Array], theirs: Sequence[Array]) -> bool:
    return [(a.shape, a.dtype, a.tobytes()) for a in ours] == [(b.shape, b.dtype, b.tobytes()) for b in theirs]


@pytest.mark.parametrize("model", MODELS)
def test_three_frames_of_noise_give_the_bits_of_a_bare_interpreter(model: str) -> None:
    engine = load(model)
    bare = find_runtime().interpreter(model_path=str(model_path(model)), num_threads=THREADS)
    bare.allocate_tensors()
    random = np.random.default_rng(20261105)
    frames = [[noise(spec, random) for spec in engine.info.inputs] for _ in range(3)]
    assert all(same_bits(through_engine(engine, frame), through_interpreter(bare, frame)) for frame in frames)


@pytest.mark.parametrize("model", MODELS)
def test_the_delegated_nodes_are_as_many_as_a_load_without_fusion_shows(model: str) -> None:
    interpreter = find_runtime().interpreter
    if UNFUSED not in signature(interpreter).parameters:
        pytest.skip("this runtime cannot load without fusion: tflite-runtime, and LiteRT 1.2")
    unfused = interpreter(model_path=str(model_path(model)), num_threads=THREADS, **{UNFUSED: True})
    unfused.allocate_tensors()
    shown = [node["op_name"] for node in unfused._get_ops_details()]  # noqa: SLF001 - there is no public way
    delegates = shown.count("DELEGATE")
    info = load(model).info
    assert (info.nodes_delegated, info.nodes) == (delegates, len(shown) - delegates)


def test_the_digits_model_gives_the_numbers_that_its_training_wrote_down() -> None:
    with np.load(model_path("bundled/digits/golden").with_suffix(".npz")) as golden:
        pictures, expected = golden["picture"], golden["output:scores"]
    engine = load("bundled/digits/model")
    given = np.concatenate(
        [through_engine(engine, [picture.reshape(engine.info.inputs[0].shape)])[0] for picture in pictures]
    )
    assert given.astype(float) == pytest.approx(expected.reshape(given.shape).astype(float), abs=1)


@pytest.mark.parametrize("model", published_only(TENSOR_CASES))
def test_the_numbers_are_those_of_the_reference_run(assets: Path, model: str) -> None:
    if find_runtime().distribution != PREFERRED:
        pytest.skip("they were made with ai-edge-litert, whose kernels round otherwise")
    cases = json.loads((assets / "EXPECTED.json").read_text())["cases"]
    (expected,) = [case["outputs"] for case in cases if case["task"] == "tensor" and case["model"] == f"{model}.tflite"]
    engine = load(model)
    random = np.random.RandomState(0)
    inputs = [reference_input(spec, random) for spec in engine.info.inputs]
    for output, wanted in zip(through_engine(engine, inputs), expected, strict=True):
        assert (list(output.shape), output.dtype.name) == (wanted["shape"], wanted["dtype"])
        assert output.ravel()[:6].astype(float) == pytest.approx(wanted["first"], rel=1e-4, abs=1e-5)
        assert output.sum(dtype=float) == pytest.approx(wanted["sum"], rel=1e-4, abs=1e-3)


def reference_input(spec: TensorSpec, random: np.random.RandomState) -> Array:
    if spec.dtype == "float32":
        return random.rand(*spec.shape).astype(np.float32)
    return random.randint(0, 100, spec.shape).astype(spec.dtype)
