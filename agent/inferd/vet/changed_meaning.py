"""What a new description of the same weights changes in the meaning of inputs and answers. Pure.

Nothing but golden pictures can tell a corrected manifest from a broken one: weights, tensors and speed are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from inferd.wire.manifest import ModelDescription

SECTIONS = ("input", "signal", "pca", "output")
NAMED_MAX = 4  # changes that a sentence names
TEXT_MAX = 60


def changed_meaning(new: ModelDescription, old: ModelDescription) -> str:
    """Return in words how two descriptions of the same weights differ in what they mean; "" if they do not."""
    changes = list(_changes(new, old))
    more = len(changes) - NAMED_MAX
    return ", ".join([*changes[:NAMED_MAX], *([f"and {more} more"] if more > 0 else [])])


def _changes(new: ModelDescription, old: ModelDescription) -> Iterator[str]:
    if new.manifest.model.task != old.manifest.model.task:
        yield f"model.task is {new.manifest.model.task}, was {old.manifest.model.task}"
    for name in SECTIONS:
        now, before = getattr(new.manifest, name), getattr(old.manifest, name)
        for field in now.__struct_fields__:
            is_, was = getattr(now, field), getattr(before, field)
            if is_ != was and (name, field) != ("output", "labels"):
                yield f"{name}.{field} is {_text(is_)}, was {_text(was)}"
    yield from _labels(new.labels, old.labels)


def _labels(new: tuple[str, ...], old: tuple[str, ...]) -> Iterator[str]:
    if len(new) != len(old):
        yield f"it has {len(new)} labels, had {len(old)}"
        return
    others = [index for index, (is_, was) in enumerate(zip(new, old, strict=True)) if is_ != was]
    if others:
        first = others[0]
        yield f"{len(others)} labels are others (label {first} is {new[first]!r}, was {old[first]!r})"


def _text(value: object) -> str:
    text = "not given" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}..."
