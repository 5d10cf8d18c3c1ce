"""`inferd infer` against what a plain reference run answered (EXPECTED.json of the assets), by flags alone."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.agents.agent import environment
from fixtures.paths import TINY_MODELS

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
@pytest.mark.parametrize(
    "model",
    [
        "mobilenet_v2_1.0_224_quant",
        "mobilenet_v2_1.0_224_quant_nometa",
        "mobilenet_v1_0.25_224_quant",
        "mobilenet_v1_0.25_224_float",
        "mobilenet_v1_0.25_128_quant",
        "vww_96_int8",
        "vww_96_float",
        "resnet8_cifar10_int8",
    ],
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


def test_the_ssd_finds_what_the_reference_finds(assets: Path) -> None:
    for model, expected in cases(assets, "detect").items():
        pictures = [assets / "images" / case["image"] for case in expected]
        told = infer(assets / "models" / model, *pictures, *REFERENCE, "--threshold", expected[0]["threshold"])
        for case, result in zip(expected, told, strict=True):
            assert len(result["boxes"]) == len(case["boxes_ymin_xmin_ymax_xmax"]), case["image"]
            for box, (label, score, corners) in zip(result["boxes"], case["boxes_ymin_xmin_ymax_xmax"], strict=True):
                assert box["label"] == label
                assert [box["score"], *box["box"]] == pytest.approx([score, *corners], abs=TOLERANCE)


def test_blazeface_finds_the_faces_the_reference_finds(assets: Path) -> None:
    expected = json.loads((assets / "EXPECTED.json").read_text())["faces (BlazeFace decode, thr .5)"]
    pictures = [assets / "images" / name for name in expected]
    told = infer(assets / "models/detect/face_detection_short_range.tflite", *pictures, "--resize-filter", "area")
    sizes = {
        "grace_hopper.bmp": (606, 517),
        "astronaut.png": (512, 512),
        "face.jpg": (358, 512),
        "cat_720p.jpg": (720, 1280),
    }
    for name, result in zip(expected, told, strict=True):
        height, width = sizes[name]
        assert len(result["boxes"]) == len(expected[name])
        for box, (score, (x0, y0, x1, y1)) in zip(result["boxes"], expected[name], strict=True):
            corners = [y0 / height, x0 / width, y1 / height, x1 / width]
            assert [box["score"], *box["box"]] == pytest.approx([score, *corners], abs=TOLERANCE), name


def test_labels_of_a_model_without_metadata_come_from_a_file(assets: Path) -> None:
    model = assets / "models/classify/mobilenet_v2_1.0_224_quant_nometa.tflite"
    told = infer(model, assets / "images/cat_720p.jpg", "--labels", assets / "labels" / IMAGENET)
    assert told[0]["labels"][0]["label"] == "Egyptian cat"


def test_tensors_from_an_npz_go_in_as_they_are(assets: Path, tmp_path: Path) -> None:
    samples = np.random.RandomState(0).randint(0, 100, (2, 8, 8, 1)).astype(np.uint8)
    file = tmp_path / "samples.npz"
    np.savez(file, t=samples)
    told = infer(assets / "models/own_digits/digits_v1_int8.tflite", "--task", "raw", "--input-npz", file)
    assert [result["outputs"][0]["shape"] for result in told] == [[1, 10], [1, 10]]
    assert told[0]["outputs"][0]["values"] != told[1]["outputs"][0]["values"]


def test_every_damaged_or_foreign_model_is_refused_in_one_sentence(assets: Path) -> None:
    clean = {"bitflip_mid.tflite", "split_concat_cpu.tflite"}
    models = [path for path in (assets / "models/malformed").glob("*.tflite") if path.name not in clean]
    models += sorted((assets / "models").glob("*/*_edgetpu.tflite"))
    assert len(models) > 15
    for model in models:
        done = inferd("infer", model, assets / "images/cat_720p.jpg")
        assert done.returncode == 1, model.name
        assert len(done.stderr.splitlines()) == 1, (model.name, done.stderr)
        assert done.stderr.startswith("inferd: "), model.name
        assert "Traceback" not in done.stderr


def test_a_bad_picture_is_named_and_the_others_are_inferred(assets: Path, tmp_path: Path) -> None:
    whole = (assets / "images/cat_720p.jpg").read_bytes()
    cut, empty = tmp_path / "cut.jpg", tmp_path / "empty.png"
    cut.write_bytes(whole[: len(whole) // 2])
    empty.write_bytes(b"")
    model = assets / "models/classify/mobilenet_v1_0.25_128_quant.tflite"
    done = inferd("infer", "--json", model, cut, empty, tmp_path / "absent.jpg", assets / "images/cat_720p.jpg")
    assert done.returncode == 1
    assert [Path(json.loads(line)["input"]).name for line in done.stdout.splitlines()] == ["cat_720p.jpg"]
    assert [name in done.stderr for name in ("cut.jpg", "empty.png", "absent.jpg")] == [True, True, True]


def test_drawn_pictures_are_written(assets: Path, tmp_path: Path) -> None:
    model = assets / "models/detect/coco_ssd_mobilenet_v1_quant.tflite"
    infer(model, assets / "images/pets.jpg", "--draw", tmp_path)
    assert (tmp_path / "pets.png").stat().st_size > 10_000


def test_an_unknown_option_teaches(assets: Path) -> None:
    done = inferd("infer", assets / "models/own_digits/digits_v1_int8.tflite")
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


@pytest.mark.parametrize(("model", "wanted"), [("ad01_fp32", 9.7071), ("ad01_int8", 10.2652)])
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


def test_a_sine_model_gives_numbers_with_units(assets: Path, tmp_path: Path) -> None:
    angles = np.linspace(0, 6, 13, dtype=np.float32).reshape(-1, 1)
    model = assets / "models/audio_sensor/hello_world_int8.tflite"
    told = infer(model, "--task", "regress", "--input-npz", npz(tmp_path, dense_input=angles))
    values = [one["values"][0]["value"] for one in told]
    assert values == pytest.approx(np.sin(angles[:, 0]).tolist(), abs=0.1)
