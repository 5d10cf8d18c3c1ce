"""Which files belong to a model, and the digest over them."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inferd.accelerators.table import compiled_stems, cpu_stem
from inferd.errors import ModelError
from inferd.store.description.label_formats import LABEL_SUFFIXES
from inferd.wire.manifest import Manifest

SUFFIX = ".tflite"
SUFFIXES = (SUFFIX, ".onnx")
MODEL = "model.tflite"  # in a folder of its own
MODELS = (MODEL, "model.onnx")
VERSION = re.compile(r"v?\d+(\.\w+)*(-(\d+|(a|b|rc|alpha|beta|dev|pre|post|build)[.-]?\d*))*", re.IGNORECASE)
FOLDER_MAX_ENTRIES = 1000  # of a drop folder; beyond that labels.txt belongs to no model
VARIANT_MARK = "+"  # in the name of a file or folder, before the variant
COMMON_LABELS = (*(f"labels{suffix}" for suffix in LABEL_SUFFIXES), "labelmap.txt", "labelmap.pbtxt", "data.yaml")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # of golden pictures
DIGEST_HEADER = "inferd bundle 1\n"


def base_of(name: str) -> str:
    """Return a file's or item's name without its variant."""
    return name.partition(VARIANT_MARK)[0] or name


def variant_of(name: str) -> str:
    """Return the variant that a file's or folder's name tells; "" for none."""
    base, _, variant = name.partition(VARIANT_MARK)
    return variant if base else ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model and the files found beside it.

    Attributes:
        model: the .tflite or .onnx file.
        title: what the model is called where nothing else names it: its file, or the folder that holds `model.tflite`.
        version: of `name/<version>/model.tflite`; "" elsewhere.
        manifest: the TOML file; None where there is none.
        labels: label files that could be its own. More than one is an error only if a label file is needed.
        fallback: the same model for the CPU, where this one is `name_edgetpu.tflite`; None where there is none.
        variant: of `name+variant.tflite` or `name+variant/model.tflite`; "" elsewhere.
    """

    model: Path
    title: str
    version: str
    manifest: Path | None
    labels: tuple[Path, ...]
    fallback: Path | None = None
    variant: str = ""


def find_bundle(path: Path) -> Bundle:
    """Find what belongs to the model at `path`: a file, or a folder that holds `model.tflite` or `model.onnx`.

    Beside `name.tflite`: `name.toml`, and `name.txt`, `name_labels.txt` or `name.labels.txt` (also .json, .yaml, .pbtxt and
    .csv); also `labels.txt`, `labelmap.txt` or `data.yaml`, where no other model lies in the folder. `name_edgetpu.tflite` and
    its CPU version have each other's where they have none of their own, and `name+variant.tflite` has those of `name`.

    Raises:
        ModelError: there is no such model.
    """
    try:
        model = _in_folder(path) if path.is_dir() else path
        if not model.exists():
            raise ModelError(path.name or str(path), _what_is_missing(path))
        return _bundle(model)
    except OSError as exc:
        raise ModelError(path.name, f"cannot be looked at: {exc.strerror}; `chmod` the folder for this user") from exc


def bundle_digest(model_sha256: str, manifest: bytes | None, labels: bytes | None) -> str:
    """Return the SHA-256 over a bundle: a header line, then a line "role sha256-of-content" for each part there is.

    It is a digest of digests, so that it can be computed from blobs alone, and so that a content that moves from one file
    to another makes another bundle. Labels from within the model do not count twice.

    Args:
        model_sha256: of the whole model file, in hexadecimal.
        manifest: the content of the manifest, None where there is none.
        labels: the content of the label file in use, None where none is.
    """
    lines = [DIGEST_HEADER, f"model {model_sha256}\n"]
    for role, content in (("manifest", manifest), ("labels", labels)):
        if content is not None:
            lines.append(f"{role} {hashlib.sha256(content).hexdigest()}\n")
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def golden_files(manifest: Manifest) -> list[str]:
    """Return the names of the golden files of a manifest: samples, and pictures each with its result."""
    golden = manifest.golden
    pairs = [(name, Path(name).with_suffix(".json").name) for name in golden.pictures or ()]
    return [*([golden.samples] if golden.samples else []), *(name for pair in pairs for name in pair)]


def _in_folder(folder: Path) -> Path:
    """Return the model that a folder of its own holds; where it holds none, the name that was looked for first."""
    return next((folder / name for name in MODELS if (folder / name).exists()), folder / MODEL)


def _bundle(model: Path) -> Bundle:
    plain = cpu_stem(model.stem)
    fallback = model.with_name(f"{plain}{SUFFIX}")
    stems = [model.stem, *(one for one in (plain, *compiled_stems(plain)) if one != model.stem)]
    stems += [base for stem in stems if (base := base_of(stem)) not in stems]
    manifests = [one for stem in stems if (one := model.with_name(f"{stem}.toml")).exists()]
    labels = next(filter(None, (_labels(model, stem) for stem in stems)), ())
    if _is_alone(model):
        common = (model.with_name(name) for name in COMMON_LABELS)
        labels = (*labels, *(file for file in common if file not in labels and file.is_file()))
    has_fallback = fallback != model and model.suffix == SUFFIX and fallback.exists()
    return Bundle(
        model, *_title(model), next(iter(manifests), None), labels, fallback if has_fallback else None, _variant(model)
    )


def _labels(model: Path, stem: str) -> tuple[Path, ...]:
    endings = (".txt", *(f"{mark}labels{suffix}" for mark in "_." for suffix in LABEL_SUFFIXES))
    return tuple(file for ending in endings if (file := model.with_name(f"{stem}{ending}")).is_file())


def _title(model: Path) -> tuple[str, str]:
    """Return name and version as file and folder names tell them."""
    if model.name not in MODELS:
        return base_of(model.stem), ""
    folder = model.parent.resolve()
    if VERSION.fullmatch(folder.name) and folder.parent.name:
        return base_of(folder.parent.name), folder.name
    return base_of(folder.name) or model.stem, ""


def _variant(model: Path) -> str:
    """Return which variant of a model it is, as file and folder names tell; "" for none."""
    if model.name not in MODELS:
        return variant_of(cpu_stem(model.stem))
    folder = model.parent.resolve()
    return variant_of(folder.parent.name if VERSION.fullmatch(folder.name) else folder.name)


def _is_alone(model: Path) -> bool:
    try:
        with os.scandir(model.parent) as entries:
            seen = list(islice(entries, FOLDER_MAX_ENTRIES + 1))
    except OSError:  # a folder that may be entered but not listed
        return False
    names = [Path(entry.name) for entry in seen]
    models = {cpu_stem(name.stem) for name in names if name.suffix in SUFFIXES}
    return len(seen) <= FOLDER_MAX_ENTRIES and len(models) == 1


def _what_is_missing(path: Path) -> str:
    if not path.is_dir():
        return "is not there; check the name and the folder"
    files = islice(path.iterdir(), FOLDER_MAX_ENTRIES)
    models = sorted(file.name for file in files if file.suffix in SUFFIXES)
    if not models:
        return f"is a folder without a {MODEL}"
    return f"is a folder without a {MODEL}; name the file instead: {', '.join(models[:5])}"
