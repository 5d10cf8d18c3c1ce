"""Reads a manifest: TOML into `wire.manifest.Manifest`. Anyone may have written it, so nothing in it is believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from inferd.errors import ModelError
from inferd.store.formats.appended_zip import require_plain_name
from inferd.wire.explain_error import explain
from inferd.wire.manifest import InputSection, Manifest, OutputSection

MANIFEST_MAX_BYTES = 64 << 10
SCHEMA_VERSION = 1
TITLE_MAX_CHARACTERS = 100
PIXEL_MAX = 255
PICTURES_MAX = 100  # golden ones: each is run in the vet child, within its deadline


@dataclass(frozen=True, slots=True)
class Bounds:
    """The numbers a key may have, ends included."""

    low: float
    high: float


BOUNDS: dict[str, Bounds] = {
    "input.letterbox_fill": Bounds(0, PIXEL_MAX),
    "input.denoise_px": Bounds(3, 31),
    "signal.rate_hz": Bounds(1e-6, 10e6),
    "signal.window": Bounds(1, 16_000_000),
    "signal.hop": Bounds(1, 16_000_000),
    "signal.denoise_size": Bounds(3, 9999),
    "signal.gate_db": Bounds(0, 100),
    "signal.frame": Bounds(2, 65_536),
    "signal.step": Bounds(1, 65_536),
    "signal.fft": Bounds(2, 65_536),
    "signal.power": Bounds(1, 2),
    "signal.mels": Bounds(1, 512),
    "signal.low_hz": Bounds(0, 5e6),
    "signal.high_hz": Bounds(0, 5e6),
    "signal.log_offset": Bounds(0, 1),
    "signal.coefficients": Bounds(1, 512),
    "signal.peaks": Bounds(1, 1000),
    "signal.feature_std": Bounds(1e-12, math.inf),
    "output.threshold": Bounds(0, 1),
    "output.iou_threshold": Bounds(0, 1),
    "output.top_k": Bounds(1, 100_000),
    "output.average": Bounds(0, 100_000),
    "output.limit": Bounds(0, math.inf),
    "output.label_offset": Bounds(-100_000, 100_000),
    "budget.accuracy": Bounds(0, 1),
    "budget.latency_p95_ms": Bounds(0, math.inf),
    "budget.rss_mb": Bounds(0, math.inf),
    "budget.energy_mj": Bounds(0, math.inf),
    "golden.tolerance": Bounds(0, math.inf),
}


def parse_manifest(part: str, content: bytes) -> Manifest:
    """Read a manifest.

    Args:
        part: the file to name in errors.
        content: at most 64 KiB of TOML.

    Raises:
        ModelError: it is too large, no TOML, has an unknown key or a value that cannot be.
    """
    if len(content) > MANIFEST_MAX_BYTES:
        raise ModelError(part, f"has {len(content):,} bytes; a manifest has at most {MANIFEST_MAX_BYTES:,}")
    table = _decode(part, content)
    try:
        manifest = msgspec.convert(table, Manifest)
    except msgspec.ValidationError as exc:
        raise ModelError(part, explain(exc, Manifest, table)) from exc
    except RecursionError as exc:
        raise ModelError(part, "is not TOML that a manifest can be: it is nested too deeply") from exc
    _check(part, manifest)
    return manifest


def require_normalization(part: str, section: InputSection) -> None:
    """Make sure that an [input] section says how pixels become values in one way, and wholly.

    Raises:
        ModelError: both mean and range, mean without std, numbers that are none, or a std of 0.
    """
    if section.range is not None and (section.mean is not None or section.std is not None):
        raise ModelError(
            part, "says both range and mean/std under [input]; keep the one that the model was trained with"
        )
    if (section.mean is None) != (section.std is None):
        raise ModelError(
            part, "says only one of mean and std; they belong together (--mean and --std, or both under [input])"
        )
    for key, values in (("mean", section.mean), ("std", section.std), ("range", section.range)):
        if values is not None and (not values or not all(map(math.isfinite, values))):
            raise ModelError(part, f"input.{key} holds {list(values)}; finite numbers are needed")
    if section.std is not None and 0.0 in section.std:
        raise ModelError(part, "input.std is 0, but pixels are divided by it; 1 leaves them as they are")
    if section.range is not None and section.range[0] == section.range[1]:
        raise ModelError(part, "input.range begins where it ends; say what pixel 0 and pixel 255 become")


def require_output_bounds(part: str, section: OutputSection) -> None:
    """Make sure that the numbers of an [output] section can be.

    Raises:
        ModelError: one is out of bounds.
    """
    _require_bounds(part, "output", section)
    for key in ("reference", "scale", "offset"):
        values = getattr(section, key)
        if values is not None and (not values or not all(map(math.isfinite, values))):
            raise ModelError(part, f"output.{key} holds {list(values)}; finite numbers are needed")


def _decode(part: str, content: bytes) -> Mapping[str, Any]:  # Any: TOML's values, checked by _convert's types
    try:
        table: dict[str, Any] = msgspec.toml.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        reason = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise ModelError(part, f"is not TOML: {reason}") from exc
    return table


def _check(part: str, manifest: Manifest) -> None:
    if manifest.schema_version != SCHEMA_VERSION:
        raise ModelError(part, f"has schema_version {manifest.schema_version}; this inferd reads {SCHEMA_VERSION}")
    for key in ("name", "version"):
        _require_title(part, f"model.{key}", getattr(manifest.model, key))
    if isinstance(manifest.output.labels, str):
        require_plain_name(part, manifest.output.labels)
    if len(manifest.golden.pictures or ()) > PICTURES_MAX:
        raise ModelError(
            part, f"names {len(manifest.golden.pictures or ()):,} golden pictures; at most {PICTURES_MAX} are judged"
        )
    for name in (manifest.golden.samples, *(manifest.golden.pictures or ())):
        if name is not None:
            require_plain_name(part, name)
    if manifest.model.twin is not None:
        require_plain_name(part, manifest.model.twin)
    require_normalization(part, manifest.input)
    require_output_bounds(part, manifest.output)
    for name in ("input", "signal", "budget", "golden"):
        _require_bounds(part, name, getattr(manifest, name))


def _require_title(part: str, key: str, text: str | None) -> None:
    if text is None:
        return
    if not text.strip() or not text.isprintable() or "/" in text or len(text) > TITLE_MAX_CHARACTERS:
        raise ModelError(
            part, f"{key} is {text[:80]!r}; it takes 1 to {TITLE_MAX_CHARACTERS} printable characters, no slash"
        )


def _require_bounds(part: str, name: str, section: msgspec.Struct) -> None:
    for field in section.__struct_fields__:
        bounds, value = BOUNDS.get(f"{name}.{field}"), getattr(section, field)
        if bounds is not None and value is not None and not bounds.low <= value <= bounds.high:
            raise ModelError(part, f"{name}.{field} is {value}; it must lie between {bounds.low:g} and {bounds.high:g}")
