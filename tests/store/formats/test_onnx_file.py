"""What an ONNX file says is read from the file alone, and a damaged one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.paths import PROJECT, TINY_MODELS
from inferd.config.settings import EngineConfig, Overrides
from inferd.engine_choice import fitting_engine, with_scales
from inferd.errors import ModelError
from inferd.records import EngineInfo
from inferd.store.description.bundle import find_bundle
from inferd.store.description.describe import describe
from inferd.store.formats.bounded_file import BytesInMemory
from inferd.store.formats.onnx_file import read_onnx
from inferd.wire.manifest import ModelFileFacts


def facts(name: str) -> ModelFileFacts:
    return read_onnx(name, BytesInMemory((TINY_MODELS / f"{name}.onnx").read_bytes()))


def test_tensors_are_told_with_open_dimensions() -> None:
    spec = facts("open_batch").inputs[0].spec
    assert (spec.name, spec.dtype, spec.shape, spec.shape_signature) == ("x", "float32", (1, 4), (-1, 4))


def test_weights_are_no_inputs() -> None:
    assert [one.spec.name for one in facts("digits").inputs] == ["picture"]


def test_the_scale_of_an_8_bit_end_is_read_from_the_graph() -> None:
    read = facts("digits")
    assert read.inputs[0].spec.scale == pytest.approx(1 / 255)
    assert (read.outputs[0].spec.scale, read.outputs[0].spec.zero_point) == (1 / 256, 0)


def test_the_operator_behind_an_output_is_told_as_tflite_calls_it() -> None:
    assert facts("digits").outputs[0].made_by == "SOFTMAX"


def test_operators_are_counted() -> None:
    assert facts("digits").ops["Conv"] == 5


@pytest.mark.parametrize("length", [0, 1, 2, 10, 500, 5_000, 40_000, 78_000])
def test_a_file_that_was_cut_off_is_refused(length: int) -> None:
    content = (TINY_MODELS / "digits.onnx").read_bytes()[:length]
    with pytest.raises(ModelError, match=r"^cut: "):
        read_onnx("cut", BytesInMemory(content))


def test_a_digit_model_is_described_as_its_tflite_original(tmp_path: Path) -> None:
    original = PROJECT / "models" / "digits"
    copied = tmp_path / "digits.onnx"
    copied.write_bytes((TINY_MODELS / "digits.onnx").read_bytes())
    for ending in ("toml", "txt"):
        source = "model.toml" if ending == "toml" else "labels.txt"
        text = (original / source).read_text().replace("labels.txt", "digits.txt")
        copied.with_suffix(f".{ending}").write_text(text)
    ours, theirs = describe(copied, Overrides(), None), describe(original, Overrides(), None)
    assert ours.manifest.input == theirs.manifest.input
    assert ours.manifest.output.activation == theirs.manifest.output.activation
    assert (ours.labels, ours.missing) == (theirs.labels, ())


def test_an_8_bit_picture_needs_no_manifest() -> None:
    described = describe(TINY_MODELS / "digits.onnx", Overrides(), None)
    assert described.manifest.model.task == "classify"
    assert described.missing == ()


def test_an_onnx_file_takes_the_onnx_engine_by_itself() -> None:
    assert fitting_engine(describe(TINY_MODELS / "digits.onnx", Overrides(), None), EngineConfig()).kind == "onnx"


def test_an_edge_tpu_model_takes_an_edge_tpu_by_itself() -> None:
    described = describe(TINY_MODELS / "digits_edgetpu.tflite", Overrides(), None)
    assert fitting_engine(described, EngineConfig()).delegate == "edgetpu"
    assert fitting_engine(described, EngineConfig(delegate="usb:1")).delegate == "usb:1"


def test_a_folder_may_hold_an_onnx_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    assert find_bundle(tmp_path).model.name == "model.onnx"


def test_an_engine_without_scales_takes_those_of_the_file() -> None:
    read = facts("digits")
    bare = tuple(type(one.spec)(one.spec.name, one.spec.shape, one.spec.dtype) for one in (*read.inputs, *read.outputs))
    info = EngineInfo("onnxruntime", "1", "2", "cpu", 0, 0, 1, 0.0, 0.0, inputs=bare[:1], outputs=bare[1:])
    assert with_scales(info, read).outputs[0].scale == 1 / 256


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes as protobuf writes it."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


@pytest.mark.parametrize(
    ("key", "names", "labels"),
    [
        ("names", "{" + ", ".join(f"{number}: 'digit {number}'" for number in range(10)) + "}", "digit 9"),
        ("names", "0 to 9", ""),
        ("author", "{0: 'somebody'}", ""),
    ],
)
def test_the_names_that_ultralytics_writes_into_an_onnx_file_are_its_labels(
    tmp_path: Path, key: str, names: str, labels: str
) -> None:
    model = (TINY_MODELS / "digits.onnx").read_bytes()
    (tmp_path / "digits.onnx").write_bytes(model + field(14, field(1, key.encode()) + field(2, names.encode())))
    found = describe(tmp_path / "digits.onnx", Overrides(), None)
    assert (found.labels[-1] if found.labels else "") == labels
