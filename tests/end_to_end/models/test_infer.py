"""`inferd infer` against what a plain reference run answered (EXPECTED.json of the assets), by flags alone."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fixtures.agents.agent import environment
from fixtures.models.collection import MALFORMED, find_assets, model_path, published_only, with_published
from fixtures.models.finder import write_finder, write_pictures
from fixtures.paths import PHOTOS, TINY_MODELS
from inferd.bundled_files import bundled

SCALES = {"raw": (), "pm1": ("--mean", "127.5", "--std", "127.5"), "01": ("--mean", "0", "--std", "255")}
REFERENCE = ("--resize", "stretch", "--resize-filter", "area")
TOLERANCE = 0.02
IMAGENET = "imagenet_labels.txt"

pytestmark = pytest.mark.slow


def inferd(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)


def infer(*arguments: object) -> list[dict[str, Any]]:
    """Return the objects that `infer --json` prints."""
    done = inferd("infer", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def cases(assets: Path, task: str) -> dict[str, list[dict[str, Any]]]:
    """Return the cases of a task whose picture is there, by model."""
    found = defaultdict(list)
    for case in json.loads((assets / "EXPECTED.json").read_text())["cases"]:
        if case["task"] == task and (assets / "images" / case["image"]).is_file():
            found[case["model"]].append(case)
    return dict(found)


@pytest.mark.parametrize("flags", [REFERENCE, ()], ids=["reference", "defaults"])
def test_the_digits_model_answers_as_its_golden_samples_say(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with np.load(bundled("digits") / "golden.npz") as golden:
        pictures, expected, classes = golden["picture"][:12], golden["output:scores"] / 256, golden["label"]
    files = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for file, picture in zip(files, pictures, strict=True):
        cv2.imwrite(str(file), picture)
    for number, result in enumerate(infer(bundled("digits"), *files, *flags)):
        assert result["labels"][0]["label"] == str(classes[number])
        for label in result["labels"]:
            assert label["score"] == pytest.approx(expected[number][label["id"]], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("model", "flags"),
    published_only(
        (model, flags)
        for flags in (REFERENCE, ())
        for model in (
            "mobilenet_v2_1.0_224_quant",
            "mobilenet_v2_1.0_224_quant_nometa",
            "mobilenet_v1_0.25_224_quant",
            "mobilenet_v1_0.25_224_float",
            "mobilenet_v1_0.25_128_quant",
            "vww_96_int8",
            "vww_96_float",
            "resnet8_cifar10_int8",
        )
    ),
)
def test_a_classifier_answers_as_the_reference(assets: Path, model: str, flags: tuple[str, ...]) -> None:
    expected = cases(assets, "classify")[f"classify/{model}.tflite"]
    pictures = [assets / "images" / case["image"] for case in expected]
    told = infer(assets / f"models/classify/{model}.tflite", *pictures, *flags, *SCALES[expected[0]["prep"]])
    for case, result in zip(expected, told, strict=True):
        best, wanted = result["labels"][0], case["top"][0]
        ties = [entry[0] for entry in case["top"] if entry[2] == wanted[2]]
        assert best["id"] in ties, case["image"]
        scores = {label["id"]: label["score"] for label in result["labels"]}
        for index, _, score in case["top"] if flags else ():
            assert scores.get(index, 0.0) == pytest.approx(score, abs=TOLERANCE), case["image"]


def test_bright_cells_are_found_where_they_are(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", {"two": {(0, 1): "5", (2, 3): "1"}})
    (found,) = infer(write_finder(tmp_path), pictures / "two.png")
    assert sorted(box["box"] for box in found["boxes"]) == [[0.0, 0.25, 0.25, 0.5], [0.5, 0.75, 0.75, 1.0]]
    assert {box["label"] for box in found["boxes"]} == {"digit"}


def test_the_ssd_finds_what_the_reference_finds(assets: Path) -> None:
    for model, expected in cases(assets, "detect").items():
        pictures = [assets / "images" / case["image"] for case in expected]
        told = infer(assets / "models" / model, *pictures, *REFERENCE, "--threshold", expected[0]["threshold"])
        for case, result in zip(expected, told, strict=True):
            assert len(result["boxes"]) == len(case["boxes_ymin_xmin_ymax_xmax"]), case["image"]
            for box, (label, score, corners) in zip(result["boxes"], case["boxes_ymin_xmin_ymax_xmax"], strict=True):
                assert box["label"] == label
                assert [box["score"], *box["box"]] == pytest.approx([score, *corners], abs=TOLERANCE)


def face_cases() -> list[tuple[Path, list[Any]]]:
    """Return photos and their faces: score, y0, x0, y1, x1, by a decoder of others."""
    ours = (PHOTOS / "astronaut.jpg", [[0.923, 82 / 512, 180 / 512, 176 / 512, 274 / 512]])
    assets = find_assets()
    if assets is None:
        return [ours]
    listed = json.loads((assets / "EXPECTED.json").read_text())["faces (BlazeFace decode, thr .5)"]
    found = [ours]
    for name, faces in listed.items():
        picture = cv2.imread(str(assets / "images" / name))
        assert picture is not None
        height, width = picture.shape[:2]
        scaled = [[score, y0 / height, x0 / width, y1 / height, x1 / width] for score, (x0, y0, x1, y1) in faces]
        found.append((assets / "images" / name, scaled))
    return found


def test_blazeface_finds_the_faces_the_reference_finds(catalogue_model: Callable[[str], Path]) -> None:
    expected = face_cases()
    pictures = [picture for picture, _ in expected]
    results = infer(catalogue_model("faces") / "model.tflite", *pictures, "--resize-filter", "area")
    for (picture, faces), result in zip(expected, results, strict=True):
        assert len(result["boxes"]) == len(faces), picture.name
        for box, face in zip(result["boxes"], faces, strict=True):
            assert [box["score"], *box["box"]] == pytest.approx(face, abs=TOLERANCE), picture.name


def test_labels_of_a_model_without_metadata_come_from_a_file(tmp_path: Path) -> None:
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    (tmp_path / "words.txt").write_text("\n".join(words))
    cv2.imwrite(str(tmp_path / "bar.png"), np.full((8, 8), 200, np.uint8))
    (found,) = infer(
        model_path("own/own_digits/digits_v2_int8"), tmp_path / "bar.png", "--labels", tmp_path / "words.txt"
    )
    assert all(label["label"] == words[label["id"]] for label in found["labels"])
    if assets := find_assets():
        model = assets / "models/classify/mobilenet_v2_1.0_224_quant_nometa.tflite"
        (cat,) = infer(model, assets / "images/cat_720p.jpg", "--labels", assets / "labels" / IMAGENET)
        assert cat["labels"][0]["label"] == "Egyptian cat"


def test_tensors_from_an_npz_go_in_as_they_are(tmp_path: Path) -> None:
    samples = np.random.RandomState(0).randint(0, 100, (2, 8, 8, 1)).astype(np.uint8)
    file = tmp_path / "samples.npz"
    np.savez(file, t=samples)
    told = infer(model_path("own/own_digits/digits_v1_int8"), "--task", "raw", "--input-npz", file)
    assert [result["outputs"][0]["shape"] for result in told] == [[1, 10], [1, 10]]
    assert told[0]["outputs"][0]["values"] != told[1]["outputs"][0]["values"]


@pytest.mark.timeout(180)
def test_every_damaged_or_foreign_model_is_refused_in_one_sentence(malformed: Path) -> None:
    clean = {"bitflip_mid.tflite", "split_concat_cpu.tflite"}
    folders = [malformed, *([assets / "models/malformed"] if (assets := find_assets()) else [])]
    models = [path for folder in folders for path in sorted(folder.glob("*.tflite")) if path.name not in clean]
    models += sorted((assets / "models").glob("*/*_edgetpu.tflite")) if assets else []
    assert len(models) >= len(MALFORMED) - 1
    for model in models:
        done = inferd("infer", model, PHOTOS / "chelsea.jpg")
        assert done.returncode == 1, model.name
        assert len(done.stderr.splitlines()) == 1, (model.name, done.stderr)
        assert done.stderr.startswith("inferd: "), model.name
        assert "Traceback" not in done.stderr


def test_a_bad_picture_is_named_and_the_others_are_inferred(tmp_path: Path) -> None:
    whole = (PHOTOS / "chelsea.jpg").read_bytes()
    cut, empty = tmp_path / "cut.jpg", tmp_path / "empty.png"
    cut.write_bytes(whole[: len(whole) // 2])
    empty.write_bytes(b"")
    done = inferd("infer", "--json", bundled("digits"), cut, empty, tmp_path / "absent.jpg", PHOTOS / "chelsea.jpg")
    assert done.returncode == 1
    assert [Path(json.loads(line)["input"]).name for line in done.stdout.splitlines()] == ["chelsea.jpg"]
    assert [name in done.stderr for name in ("cut.jpg", "empty.png", "absent.jpg")] == [True, True, True]


def test_drawn_pictures_are_written(tmp_path: Path) -> None:
    shown = write_pictures(tmp_path / "pictures", {"one": {(1, 1): "3"}}) / "one.png"
    infer(write_finder(tmp_path), shown, "--draw", tmp_path)
    plain, drawn = cv2.imread(str(shown)), cv2.imread(str(tmp_path / "one.png"))
    assert plain is not None
    assert drawn is not None
    changed = np.argwhere((plain != drawn).any(axis=2))
    assert len(changed) > 100
    assert changed.min(axis=0) == pytest.approx((128, 128), abs=40)  # the box is that of the second cell


def test_an_input_that_is_missing_is_asked_for() -> None:
    done = inferd("infer", model_path("own/own_digits/digits_v1_int8"))
    assert done.returncode == 2
    assert "name at least one input" in done.stderr


def test_every_other_model_runs_raw_as_the_reference_ran_it(assets: Path, tmp_path: Path) -> None:
    for case in json.loads((assets / "EXPECTED.json").read_text())["cases"]:
        if case["task"] != "tensor":
            continue
        model = assets / "models" / case["model"]
        file = tmp_path / f"{model.stem}.npz"
        specs = json.loads(inferd("models", "show", "--json", model).stdout)["engine"]["inputs"]
        random = np.random.RandomState(0)
        samples = {spec["name"]: random_input(random, spec)[None] for spec in specs}
        np.savez(file, **samples)
        outputs = infer(model, "--task", "raw", "--input-npz", file)[0]["outputs"]
        for told, wanted in zip(outputs, case["outputs"], strict=True):
            flat = np.array(told["values"], dtype=np.float64).ravel()
            assert (told["shape"], told["dtype"]) == (wanted["shape"], wanted["dtype"])
            assert flat[: len(wanted["first"])].tolist() == pytest.approx(wanted["first"], abs=1e-4)


def random_input(random: np.random.RandomState, spec: dict[str, Any]) -> Any:  # Any: an array of the spec's dtype
    """Return one sample as the reference made it, without the axis that counts samples where the tensor has one."""
    shape = spec["shape"]
    if spec["dtype"].startswith("float"):
        values = random.rand(*shape).astype(spec["dtype"])
    else:
        values = random.randint(0, 100, shape).astype(spec["dtype"])
    return values


def npz(folder: Path, **arrays: np.ndarray[Any, Any]) -> Path:
    file = folder / "samples.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]  # savez takes arrays by any name
    return file


def test_movenet_finds_the_keypoints_of_its_reference(assets: Path) -> None:
    (told,) = infer(assets / "models/pose_segment/movenet_lightning_ptq.tflite", assets / "images/squat.bmp")
    rows = (assets / "models/pose_segment/movenet_lightning_ptq_reference.csv").read_text().splitlines()[1:]
    for (y, x, _), row in zip(told["keypoints"], rows, strict=True):
        *_, wanted_x, wanted_y = map(float, row.split(","))
        assert (y, x) == pytest.approx((wanted_y, wanted_x), abs=0.03)


def test_the_segmentation_of_two_dogs_is_of_dogs(assets: Path) -> None:
    labels = assets / "labels/pascal_voc_segmentation_labels.txt"
    model = assets / "models/pose_segment/deeplabv3_mnv2_dm05_pascal_quant.tflite"
    (told,) = infer(model, assets / "images/pets.jpg", "--labels", labels)
    assert told["mask"]["shape"] == [513, 513]
    assert list(told["mask"]["labels"])[:2] == ["background", "dog"]
    assert sum(told["mask"]["labels"].values()) == pytest.approx(1.0, abs=1e-4)


def test_photos_are_nearest_to_the_mean_embedding_of_their_own_class(assets: Path) -> None:
    pictures = sorted((assets / "images/imprinting").glob("*.jpg"))
    model = assets / "models/embed/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"
    told = infer(model, *pictures, "--task", "embed", "--normalize")
    vectors = {picture.stem: np.array(one["embedding"]) for picture, one in zip(pictures, told, strict=True)}
    classes = {name.split("_")[0] for name in vectors}
    means = {
        one: np.mean([v for name, v in vectors.items() if name.startswith(f"{one}_train")], axis=0) for one in classes
    }
    for one in classes:
        near = {other: float(vectors[f"{one}_test_0"] @ mean / np.linalg.norm(mean)) for other, mean in means.items()}
        assert max(near, key=near.__getitem__) == one


@pytest.mark.parametrize(("model", "wanted"), published_only([("ad01_fp32", 9.7071), ("ad01_int8", 10.2652)]))
def test_the_sound_of_a_toy_car_is_normal_and_with_noise_it_is_not(
    assets: Path, tmp_path: Path, model: str, wanted: float
) -> None:
    bands = np.fromfile(assets / "models/audio_sensor/ad01_normal_id_01_00000000_hist_librosa.bin", np.float32)
    windows = np.stack([bands.reshape(200, 128)[at : at + 5].reshape(-1) for at in range(196)])
    noisy = windows + np.random.RandomState(0).normal(0, 6, windows.shape).astype(np.float32)
    file = assets / f"models/audio_sensor/{model}.tflite"
    for samples, score, verdict in ((windows, wanted, "normal"), (noisy, 45.1, "anomaly")):
        arguments = ("--task", "anomaly", "--average", "0", "--limit", "20", "--input-npz")
        last = infer(file, *arguments, npz(tmp_path, input_1=samples))[-1]
        assert last["score"] == pytest.approx(score, rel=0.02)
        assert last["labels"][0]["label"] == verdict


def test_yamnet_names_sounds_by_the_mean_of_their_windows(assets: Path, tmp_path: Path) -> None:
    wanted = {"meow_16k": ("Cat", 0.729), "speech": ("Speech", 0.961), "yes_1000ms": ("Speech", 0.957)}
    wanted |= {"silence_1000ms": ("Silence", 0.738), "noise_1000ms": ("Pink noise", 0.5)}
    model = assets / "models/audio_sensor/yamnet_audio_classifier.tflite"
    for name, (label, score) in wanted.items():
        with wave.open(str(assets / f"audio/{name}.wav")) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32768)
        windows = np.stack([sound[at : at + 15600] for at in range(0, len(sound) - 15600 + 1, 7800)])
        best = infer(model, "--average", "0", "--input-npz", npz(tmp_path, waveform_binary=windows))[-1]["labels"][0]
        assert best["label"] == label
        assert best["score"] == pytest.approx(score, abs=TOLERANCE)


def test_a_model_with_a_memory_keeps_it_from_sample_to_sample_but_not_from_input_to_input(tmp_path: Path) -> None:
    model = TINY_MODELS / "counting.tflite"
    file = npz(tmp_path, step=np.ones((3, 1, 1, 1), np.float32))
    told = infer(model, "--task", "regress", "--input-npz", file, "--input-npz", file)
    assert [one["values"][0]["value"] for one in told] == [2, 4, 6, 2, 4, 6]


@pytest.mark.parametrize(
    ("model", "tensor", "expected", "off_by"),
    with_published(
        [("tiny/open_batch", "x", [1.0, 3.5], 0.0)], [("audio_sensor/hello_world_int8", "dense_input", [0.0, 0.6], 0.1)]
    ),
)
def test_a_model_of_numbers_gives_numbers(  # it adds one, or takes the sine
    tmp_path: Path, model: str, tensor: str, expected: list[float], off_by: float
) -> None:
    given = np.array([[0.0], [2.5]], np.float32)
    samples = np.repeat(given, 4, axis=1) if tensor == "x" else given
    told = infer(model_path(model), "--task", "regress", "--input-npz", npz(tmp_path, **{tensor: samples}))
    assert [one["values"][0]["value"] for one in told] == pytest.approx(expected, abs=off_by)
