"""What the static reader says of .tflite files."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.models.collection import MALFORMED, OUR_MODELS, find_assets, model_path, with_published
from fixtures.models.tflite_writer import (
    CUSTOM,
    FLOAT32,
    INT8,
    PICTURE,
    RESHAPE,
    MetadataMade,
    ModelMade,
    Numbers,
    Table,
    TensorMade,
    byte_field,
    classifier,
    flatbuffer,
    int_field,
)
from inferd.config.settings import Overrides
from inferd.errors import ModelError
from inferd.records import TensorSpec
from inferd.runtime.library import find_runtime
from inferd.store.description.describe import describe
from inferd.store.formats.bounded_file import BytesInMemory, ModelFile
from inferd.store.formats.tflite_file import GraphOperator, TfliteContents, made_by, read_tflite
from inferd.store.formats.tflite_metadata import read_metadata
from inferd.wire.manifest import ModelFileFacts

TENSOR = re.compile(r"([^\s]+?):\[([\d, ]*)\]:(\w+)(?::q\(([-\d.e]+),(-?\d+)\))?")
MUTATIONS = 2000
NAME_CHARACTERS = 40  # SIGNATURES.txt cuts names there

REFUSED = {
    "empty": "is empty",
    "html_404": "is a web page",
    "huge_root_offset": "an offset leads to byte 2,147,483,647",
    "lfs_pointer": "is a git-lfs pointer, not the model; run `git lfs pull`",
    "text": "is a text file",
    "truncated_16B": "ends at byte 16",
    "truncated_half": "ends at byte 12,812",
    "wrong_magic": "has the mark TFL9 instead of TFL3",
    "zeros_tail": "it holds no graph",
}
PUBLISHED_REFUSED = {f"malformed/{name}": sentence.replace("12,812", "166,644") for name, sentence in REFUSED.items()}
LEFT_TO_THE_RUNTIME = {"bitflip_mid", "custom_op_fake", "ethos_u", "needs_edgetpu", "wrong_dimension"}
PUBLISHED_LEFT_TO_THE_RUNTIME = {
    "bitflip_mid",
    "custom_op_fake",
    "ethos_u_person_detect_vela",
    "heap_corruption_keyword_scrambled_8bit",
    "needs_edgetpu_split_concat",
    "rejected_person_detect",
    "split_concat_cpu",
}


def read(content: bytes) -> TfliteContents:
    return read_tflite("m.tflite", BytesInMemory(content))


def facts_of(model: ModelMade) -> ModelFileFacts:
    return read(model.content()).facts


def bent(model: ModelMade, slot: int, value: Table | list[Table] | Numbers) -> bytes:
    root = model.root()
    root.fields[slot] = value
    return flatbuffer(root, b"TFL3")


def test_tensors_are_told_with_shape_type_and_quantisation() -> None:
    facts = facts_of(classifier())
    assert facts.inputs[0].spec == TensorSpec("image", (1, 16, 16, 3), "uint8", (1, 16, 16, 3), 1 / 128, 128)


def test_operators_are_told_by_name_and_count() -> None:
    assert facts_of(classifier()).ops == {"SOFTMAX": 1}


def test_a_custom_operator_is_told_by_its_own_name() -> None:
    facts = facts_of(ModelMade([PICTURE], [TensorMade((1, 2))], CUSTOM, "edgetpu-custom-op"))
    assert (facts.ops, facts.custom_ops) == ({"edgetpu-custom-op": 1}, ("edgetpu-custom-op",))


def test_an_operator_from_before_number_127_is_read_from_the_old_field() -> None:
    content = bent(classifier(), 1, [Table({0: byte_field(RESHAPE)})])
    assert read(content).facts.ops == {"RESHAPE": 1}


def test_an_operator_newer_than_our_table_is_told_by_its_number() -> None:
    assert facts_of(classifier(operator=300)).ops == {"BUILTIN_300": 1}


def test_an_output_is_made_by_the_operator_behind_those_that_only_carry() -> None:
    makers = {
        2: GraphOperator("SOFTMAX", 1, (2,)),
        3: GraphOperator("RESHAPE", 2, (3,)),
        4: GraphOperator("DEQUANTIZE", 3, (4,)),
    }
    assert made_by(4, makers) == ("SOFTMAX", 0)


def test_carriers_that_lead_in_a_circle_end() -> None:
    makers = {1: GraphOperator("RESHAPE", 2, (1,)), 2: GraphOperator("RESHAPE", 1, (2,))}
    assert made_by(1, makers) == ("RESHAPE", 0)


def test_a_tensor_that_names_no_buffer_of_the_file_is_refused() -> None:
    model = classifier()
    root = model.root()
    graph = root.fields[2]
    assert isinstance(graph, list)
    tensors = graph[0].fields[0]
    assert isinstance(tensors, list)
    tensors[0].fields[2] = int_field(9)
    with pytest.raises(ModelError, match="a tensor names buffer 9 of 1"):
        read(flatbuffer(root, b"TFL3"))


def test_another_schema_version_is_refused() -> None:
    with pytest.raises(ModelError, match="has schema version 0, not 3"):
        read(flatbuffer(Table(), b"TFL3"))


def test_an_unknown_tensor_type_is_refused() -> None:
    with pytest.raises(ModelError, match="'t' has the unknown type 77"):
        facts_of(ModelMade([TensorMade((1,), 77)], [TensorMade((1,))]))


def test_a_scale_that_is_no_number_is_refused() -> None:
    with pytest.raises(ModelError, match="quantisation scale nan"):
        facts_of(ModelMade([TensorMade((1,), INT8, float("nan"))], [TensorMade((1,))]))


def test_a_float_tensor_is_never_quantised() -> None:
    assert not facts_of(ModelMade([TensorMade((1,), FLOAT32, 0.5)], [TensorMade((1,))])).inputs[0].spec.quantized


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"PK\x03\x04" + bytes(60), "is a zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "is an HDF5 file"),
        (b"\x08\x07\x12\x07pytorch" + bytes(60), "is an ONNX model"),
        (b"\x08\x01\x12\x07" + bytes(60), "is a TensorFlow SavedModel"),
        (b"\x80\x04\x95" + bytes(60), "is a Python pickle"),
        (b"\x1f\x8b\x08" + bytes(60), "is packed with gzip"),
        (bytes(500), "begins with zeros only"),
        (b"abc", "has only 3 bytes"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(60), "is not a TensorFlow Lite model"),
    ],
)
def test_another_kind_of_file_is_told_with_what_mends_it(head: bytes, sentence: str) -> None:
    with pytest.raises(ModelError, match=f"^m.tflite: {sentence}"):
        read(head)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a regular file"):
        ModelFile(tmp_path)


def test_a_model_that_is_cut_short_while_it_is_read_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier().content())
    with ModelFile(path) as file:
        path.write_bytes(b"short")
        with pytest.raises(ModelError, match="changed while it was being read"):
            read_tflite(file.name, file)


def test_a_model_larger_than_the_bound_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(bytes(100))
    with pytest.raises(ModelError, match="has 100 bytes, more than the 99"):
        ModelFile(path, max_bytes=99)


def test_2000_mutations_end_in_a_description_or_a_named_error() -> None:
    random_numbers = random.Random(20261122)  # noqa: S311  # not for secrets
    whole = classifier(metadata=MetadataMade((1.0,), (2.0,), "labels.txt", threshold=0.5).content()).content()
    survived = 0
    for _ in range(MUTATIONS):
        try:
            metadata = read(_mutated(whole, random_numbers)).metadata
            read_metadata("m.tflite", metadata or b"")
            survived += 1
        except ModelError as exc:
            assert exc.part in {"m.tflite", "m.tflite (its metadata)"}  # noqa: PT017  # both ends are right here, a third would not be
    assert 0 < survived < MUTATIONS


def _mutated(whole: bytes, random_numbers: random.Random) -> bytes:
    content = bytearray(whole)
    for _ in range(random_numbers.randint(1, 6)):
        content[random_numbers.randrange(len(content))] = random_numbers.choice((0, 1, 0x7F, 0x80, 0xFF))
    cut = random_numbers.random() < 0.2
    return bytes(content[: random_numbers.randrange(len(content))] if cut else content)


def _signature(line: str) -> tuple[Path, list[TensorSpec], list[TensorSpec]]:
    """Return what a line of SIGNATURES.txt says: the file, its inputs, its outputs."""
    path, _, rest = line.removeprefix("models/").partition(" ")
    before, _, after = rest.partition(" OUT ")
    return Path(path), _specs(before), _specs(after)


def _specs(text: str) -> list[TensorSpec]:
    found = []
    for name, shape, dtype, scale, zero_point in TENSOR.findall(text):
        numbers = tuple(int(part) for part in shape.split(",") if part.strip())
        found.append(TensorSpec(name, numbers, dtype, (), float(scale or 0), int(zero_point or 0)))
    return found


def _rounded(specs: list[TensorSpec]) -> list[tuple[str, tuple[int, ...], str, str, int]]:
    return [(one.name[:NAME_CHARACTERS], one.shape, one.dtype, f"{one.scale:.6g}", one.zero_point) for one in specs]


def _spec(detail: dict[str, Any]) -> TensorSpec:  # Any: the runtime's own untyped dictionaries
    """Return what the runtime says of a tensor."""
    scale, zero_point = detail["quantization"]
    shape = tuple(int(size) for size in detail["shape"])
    return TensorSpec(detail["name"], shape, np.dtype(detail["dtype"]).name, (), float(scale), int(zero_point))


@pytest.mark.parametrize("name", [*OUR_MODELS, "tiny/all_dtypes"])
def test_a_model_is_described_as_the_runtime_describes_it(name: str) -> None:
    with ModelFile(model_path(name)) as file:
        facts = read_tflite(file.name, file).facts
    loaded = find_runtime().interpreter(model_path=str(model_path(name)))
    assert _rounded([one.spec for one in facts.inputs]) == _rounded([_spec(one) for one in loaded.get_input_details()])
    assert _rounded([one.spec for one in facts.outputs]) == _rounded(
        [_spec(one) for one in loaded.get_output_details()]
    )


def test_every_published_model_is_described_as_the_runtime_describes_it(assets: Path) -> None:
    lines = (assets / "SIGNATURES.txt").read_text().splitlines()
    assert len(lines) > 30
    for line in lines:
        path, inputs, outputs = _signature(line)
        with ModelFile(assets / "models" / path) as file:
            facts = read_tflite(file.name, file).facts
        assert _rounded([one.spec for one in facts.inputs]) == _rounded(inputs), path
        assert _rounded([one.spec for one in facts.outputs]) == _rounded(outputs), path


@pytest.mark.parametrize(("name", "sentence"), with_published(REFUSED.items(), PUBLISHED_REFUSED.items()))
def test_a_malformed_file_is_refused_without_a_runtime(malformed: Path, name: str, sentence: str) -> None:
    file = malformed / f"{name}.tflite" if name in MALFORMED else model_path(name)
    with pytest.raises(ModelError, match=re.escape(sentence)):
        describe(file, Overrides(), None)


def test_every_malformed_file_is_either_refused_here_or_known_to_need_the_runtime() -> None:
    assert MALFORMED.keys() == REFUSED.keys() | LEFT_TO_THE_RUNTIME
    assets = find_assets()
    names = {path.stem for path in (assets / "models" / "malformed").glob("*.tflite")} if assets else None
    assert names is None or names == REFUSED.keys() | PUBLISHED_LEFT_TO_THE_RUNTIME
