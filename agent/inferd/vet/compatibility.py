"""Whether a new model keeps the contract of the old one with those who read its results. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from inferd.wire.manifest import ModelDescription

RELABELLED_MAX = 0.2  # share of labels whose text may be corrected


@dataclass(frozen=True, slots=True)
class Breach:
    """What is broken: in a word, and in a sentence."""

    code: str
    why: str


ON_PURPOSE = 'say contract = "new" under [model] if that is meant'


def breach(new: ModelDescription, old: ModelDescription, *, is_variant: bool) -> Breach | None:
    """Return how `new` breaks the contract of `old`; None where it keeps it, or says that it means to break it.

    Another variant of `old` (`is_variant`) means the same by its answers; how large its numbers and pixels are is its own.
    """
    if new.manifest.model.contract == "new":
        return None
    broken = _task(new, old) or _labels(new, old)
    return broken if is_variant else broken or _tensors(new, old) or _normalisation(new, old)


def _task(new: ModelDescription, old: ModelDescription) -> Breach | None:
    before, now = old.manifest.model.task, new.manifest.model.task
    return (
        Breach("task_changed", f"it does {now}, the model it replaces {before}; {ON_PURPOSE}")
        if before != now
        else None
    )


def _labels(new: ModelDescription, old: ModelDescription) -> Breach | None:
    if not old.labels or new.labels == old.labels:
        return None
    if len(new.labels) != len(old.labels):
        return Breach(
            "label_count", f"it has {len(new.labels)} labels, the model it replaces {len(old.labels)}; {ON_PURPOSE}"
        )
    if Counter(new.labels) == Counter(old.labels):
        first = next(index for index, label in enumerate(new.labels) if label != old.labels[index])
        return Breach(
            "label_order",
            f"its labels stand in another order: {first} is {new.labels[first]!r}, was {old.labels[first]!r}; {ON_PURPOSE}",
        )
    changed = sum(_first(one) != _first(other) for one, other in zip(new.labels, old.labels, strict=True))
    if changed > max(1, RELABELLED_MAX * len(old.labels)):
        return Breach("labels_changed", f"{changed} of its {len(new.labels)} labels are others; {ON_PURPOSE}")
    return None


def _first(label: str) -> str:
    """Return a label without its synonyms: ImageNet's "tench, Tinca tinca" is "tench" in many files."""
    return label.split(",", maxsplit=1)[0].strip().lower()


def _tensors(new: ModelDescription, old: ModelDescription) -> Breach | None:
    """Compare tensors where results are tensors; elsewhere the task hides them."""
    if new.manifest.model.task not in ("raw", "embed", "regress", "anomaly"):
        return None
    for kind in ("inputs", "outputs"):
        before = [(one.spec.dtype, one.spec.shape_signature) for one in getattr(old.facts, kind)]
        now = [(one.spec.dtype, one.spec.shape_signature) for one in getattr(new.facts, kind)]
        if before != now:
            return Breach(
                "tensors_changed", f"its {kind} are {now}, those of the model it replaces {before}; {ON_PURPOSE}"
            )
    return None


def _normalisation(new: ModelDescription, old: ModelDescription) -> Breach | None:
    """Compare what pixels become, where both models take the same kind of numbers."""
    dtypes = [tuple(one.spec.dtype for one in description.facts.inputs) for description in (new, old)]
    if dtypes[0] != dtypes[1]:
        return None
    before, now = (_pixels(description) for description in (old, new))
    if before is None or now is None or max(abs(a - b) for a, b in zip(before, now, strict=True)) <= 1e-3:  # noqa: PLR2004 - rounding
        return None
    return Breach(
        "normalisation_changed",
        f"pixels 0..255 become {now[0]:g}..{now[1]:g}, for the model it replaces {before[0]:g}..{before[1]:g}; {ON_PURPOSE}",
    )


def _pixels(description: ModelDescription) -> tuple[float, float] | None:
    """Return what pixels 0 and 255 become in the first channel; None if it is not given."""
    said = description.manifest.input
    if said.range is not None:
        return said.range
    if said.mean and said.std:
        return -said.mean[0] / said.std[0], (255 - said.mean[0]) / said.std[0]
    return None
