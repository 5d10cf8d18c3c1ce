"""Variants of one model: the same name and version, made small or large, int8 or float. Pure.

`cat+small.tflite` and `cat+large.tflite`, or `variant` in each one's manifest. Each is a model of its own to the store and
the vet child; which of them serves is decided by what was measured here.
"""

from __future__ import annotations

from inferd.store.lifecycle.state import Measurements, Version
from inferd.wire.manifest import ModelDescription


def version_of(description: ModelDescription) -> Version:
    """Return the name, version, task and variant of a description."""
    ref, said = description.ref, description.manifest.model
    return Version(ref.digest, ref.name, ref.version, said.task or "raw", variant=said.variant or "")


def are_variants(one: Version, other: Version) -> bool:
    """Whether two models are variants of one."""
    same = (one.name, one.version, one.task) == (other.name, other.version, other.task)
    return same and bool(one.variant and other.variant) and one.variant != other.variant


def better(one: Measurements, other: Measurements, period_ms: float) -> bool:
    """Whether a variant is to be preferred: it keeps up; then it is more often right; then it is faster.

    Args:
        one: what was measured of it.
        other: what was measured of the other.
        period_ms: time from frame to frame; 0 if the camera sets it.
    """
    return _rank(one, period_ms) > _rank(other, period_ms)


def _rank(figures: Measurements, period_ms: float) -> tuple[bool, float, float]:
    keeps_up = not period_ms or figures.invoke_ms <= period_ms
    accuracy = figures.accuracy if figures.accuracy is not None and keeps_up else 0.0  # too slow: the fastest of them
    return keeps_up, accuracy, -figures.invoke_ms


def variant_summary(variant: str, figures: Measurements) -> str:
    """Return a variant and what was measured of it, for people."""
    right = "" if figures.accuracy is None else f"right in {figures.accuracy:.1%}, "
    return f"{variant} ({right}{figures.invoke_ms:.1f} ms, {figures.private_mb:.0f} MB)"
