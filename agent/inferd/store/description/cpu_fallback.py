"""Finds the CPU version of a model that was compiled for an accelerator."""

from __future__ import annotations

from pathlib import Path

from inferd.errors import ModelError
from inferd.store.description.bundle import find_bundle
from inferd.store.description.manifest_file import MANIFEST_MAX_BYTES, parse_manifest
from inferd.store.formats.bounded_file import read_small


def find_cpu_version(path: Path) -> Path | None:
    """Return the CPU version of the model at `path`: the one its manifest names, else `x.tflite` beside `x_edgetpu.tflite`.

    None where there is none, and where the model cannot be looked at: describing it will say why.
    """
    try:
        bundle = find_bundle(path)
        written = read_small(bundle.manifest, MANIFEST_MAX_BYTES) if bundle.manifest else b""
        named = parse_manifest(bundle.manifest.name, written).model.twin if bundle.manifest else None
    except ModelError:
        return None
    fallback = bundle.model.with_name(named) if named else bundle.fallback
    return fallback if fallback is not None and fallback != bundle.model and fallback.is_file() else None
