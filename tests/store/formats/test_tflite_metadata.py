"""TFLite metadata and the zip that carries its label files."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.models.collection import model_path, published_only, with_published
from fixtures.models.tflite_writer import MetadataMade, Numbers, Table, byte_field, classifier, flatbuffer, with_zip
from inferd.errors import ModelError
from inferd.store.description.describe import read_contents
from inferd.store.formats.appended_zip import ENTRIES_MAX, Archive, find_archive, unpack
from inferd.store.formats.bounded_file import ModelFile
from inferd.store.formats.tflite_metadata import ModelMetadata, read_metadata

MODEL = classifier().content()


def metadata_of(made: MetadataMade) -> ModelMetadata:
    return read_metadata("m.tflite", made.content())


def archive_of(tmp_path: Path, content: bytes) -> Archive | None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with ModelFile(path) as file:
        return find_archive(file)


def unpacked(tmp_path: Path, content: bytes, name: str = "labels.txt") -> bytes:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with ModelFile(path) as file:
        archive = find_archive(file)
        assert archive is not None
        return unpack(file, archive.entries[name])


def test_mean_and_std_are_read() -> None:
    tensor = metadata_of(MetadataMade(mean=(127.5,), std=(64.0,))).inputs[0]
    assert (tensor.mean, tensor.std) == ((127.5,), (64.0,))


def test_the_colour_space_is_read() -> None:
    assert metadata_of(MetadataMade(color_space=2)).inputs[0].color_order == "gray"


def test_rate_and_channels_of_a_sound_are_read() -> None:
    tensor = metadata_of(MetadataMade(sound=(22050, 2))).inputs[0]
    assert (tensor.rate_hz, tensor.channels, tensor.color_order) == (22050, 2, None)


def test_label_files_are_told_with_their_kind() -> None:
    entry = metadata_of(MetadataMade(label_file="labels.txt", label_kind=3)).outputs[0].label_files[0]
    assert (entry.name, entry.kind) == ("labels.txt", "value labels")


def test_a_score_calibration_and_a_threshold_are_noticed() -> None:
    tensor = metadata_of(MetadataMade(calibrated=True, threshold=0.25)).outputs[0]
    assert (tensor.calibrated, tensor.threshold) == (True, 0.25)


def test_version_licence_and_parser_are_read() -> None:
    metadata = metadata_of(MetadataMade(version="v2"))
    assert (metadata.version, metadata.licence, metadata.min_parser_version) == ("v2", "CC0", "1.0.0")


def test_a_std_of_zero_is_refused() -> None:
    with pytest.raises(ModelError, match=r"m.tflite \(its metadata\): says mean .* which cannot be"):
        metadata_of(MetadataMade(mean=(1.0,), std=(0.0,)))


def test_hostile_offsets_in_metadata_are_named() -> None:
    content = struct.pack("<I", 0x7FFFFFF0) + MetadataMade().content()[4:]
    with pytest.raises(ModelError, match=r"m.tflite \(its metadata\): is damaged"):
        read_metadata("m.tflite", content)


def test_a_thousand_process_units_are_refused() -> None:
    units = [Table({0: byte_field(1), 1: Table({0: Numbers("f", (1.0,)), 1: Numbers("f", (1.0,))})})] * 1000
    graph = Table({2: [Table({4: units})]})
    with pytest.raises(ModelError, match="lists 1,000 entries"):
        read_metadata("m.tflite", flatbuffer(Table({3: [graph]}), b"M001"))


def test_a_model_without_a_zip_has_no_archive(tmp_path: Path) -> None:
    assert archive_of(tmp_path, MODEL) is None


def test_the_zip_begins_where_the_model_ends(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, with_zip(MODEL, {"labels.txt": b"a\nb\n"}))
    assert archive is not None
    assert archive.begins == len(MODEL)


def test_a_file_in_the_zip_is_read(tmp_path: Path) -> None:
    content = with_zip(MODEL, {"labels.txt": b"a\nb\n"}, zipfile.ZIP_DEFLATED)
    assert unpacked(tmp_path, content) == b"a\nb\n"


@pytest.mark.parametrize("name", ["../labels.txt", "/etc/passwd", "a/labels.txt", "..\\labels.txt", "a\x1bb"])
def test_a_name_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="which would leave its folder"):
        archive_of(tmp_path, with_zip(MODEL, {name: b"x"}))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    content = with_zip(MODEL, {"labels.txt": bytes(1 << 24)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match=r"would unpack labels.txt from 16,310 to 16,777,216 bytes"):
        unpacked(tmp_path, content)


def test_a_file_packed_beyond_reason_is_refused(tmp_path: Path) -> None:
    content = with_zip(MODEL, {"labels.txt": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match=r"would unpack labels.txt from"):
        unpacked(tmp_path, content)


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(with_zip(MODEL, {"labels.txt": bytes(1 << 24)}, zipfile.ZIP_DEFLATED))
    struct.pack_into("<I", content, content.rfind(b"PK\x01\x02") + 24, 1000)
    with pytest.raises(ModelError, match=r"cannot give labels.txt"):
        unpacked(tmp_path, bytes(content))


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    content = bytearray(with_zip(MODEL, {"labels.txt": b"x"}))
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ModelError, match=r"has labels.txt encrypted"):
        unpacked(tmp_path, bytes(content))


def test_an_unusual_packing_is_refused(tmp_path: Path) -> None:
    content = with_zip(MODEL, {"labels.txt": b"x" * 50}, zipfile.ZIP_LZMA)
    with pytest.raises(ModelError, match="packed by method 14"):
        unpacked(tmp_path, content)


def test_more_files_than_are_looked_at_are_refused(tmp_path: Path) -> None:
    content = with_zip(MODEL, {f"{n}.txt": b"x" for n in range(ENTRIES_MAX + 1)})
    with pytest.raises(ModelError, match="lists 17 files"):
        archive_of(tmp_path, content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    content = with_zip(with_zip(MODEL, {"labels.txt": b"a"}), {"labels.txt": b"b"})
    with pytest.raises(ModelError, match="names a file twice"):
        archive_of(tmp_path, content)


def test_weights_that_spell_the_mark_of_a_zip_are_no_zip(tmp_path: Path) -> None:
    assert archive_of(tmp_path, MODEL + b"PK\x05\x06" + b"\xff" * 40) is None


def test_every_flipped_byte_of_a_zip_ends_in_a_named_error_or_a_value(tmp_path: Path) -> None:
    whole = with_zip(MODEL, {"labels.txt": b"a\nb\n"}, zipfile.ZIP_DEFLATED)
    for at in range(len(MODEL), len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            content = bytearray(whole)
            content[at] ^= flip
            try:
                unpack_all(tmp_path, bytes(content))
            except ModelError as exc:
                assert exc.part == "m.tflite"  # noqa: PT017  # a value is right too; any other error is not


def unpack_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with ModelFile(path) as file:
        archive = find_archive(file)
        for info in archive.entries.values() if archive else ():
            unpack(file, info)


REAL_LABELS = {
    "classify/mobilenet_v2_1.0_224_quant": (1001, "background"),
    "classify/mobilenet_v1_0.25_128_quant": (1001, "background"),
    "classify/mobilenet_v1_0.25_224_quant": (1001, "background"),
    "detect/coco_ssd_mobilenet_v1_quant": (90, "person"),
    "audio_sensor/yamnet_audio_classifier": (521, "Speech"),
}


@pytest.mark.parametrize("name", published_only(sorted(REAL_LABELS)))
def test_real_models_give_the_labels_they_carry(assets: Path, name: str) -> None:
    labels = read_contents(assets / "models" / f"{name}.tflite").labels
    assert labels is not None
    assert (len(labels.texts), labels.texts[0]) == REAL_LABELS[name]


@pytest.mark.parametrize(
    "name", with_published(["faces"], ["classify/mobilenet_v2_1.0_224_quant", "embed/mobilenet_v2_035_96_embedder"])
)
def test_real_models_say_mean_std_and_colour(catalogue_model: Callable[[str], Path], name: str) -> None:
    path = model_path(name) if "/" in name else catalogue_model(name) / "model.tflite"
    metadata = read_contents(path).metadata
    assert metadata is not None
    tensor = metadata.inputs[0]
    assert (tensor.name, tensor.color_order, tensor.mean, tensor.std) == ("image", "rgb", (127.5,), (127.5,))
