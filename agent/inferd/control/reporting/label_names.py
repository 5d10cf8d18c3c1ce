"""Names in the configuration that must be labels of a model, compared with what the model has. Pure.

Only the running agent knows the labels: a model may come later, and another one may follow it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from inferd.config import settings

SHOWN = 5  # labels that a sentence lists

Labels = Mapping[str, tuple[str, ...]]
"""By pipeline, the labels of the model that serves it; pipelines without a model, or whose model has none, are left out."""


def unknown_labels(config: settings.Config, labels: Labels) -> list[tuple[str, str]]:
    """Return (pipeline, sentence) for each name that no label of its model matches; "" is the whole device."""
    found = [
        (pipeline, f"{where} names {name!r}, which is no label of its model{_meant(name, labels[pipeline])}")
        for pipeline, where, names in _named(config)
        if pipeline in labels
        for name in names
        if name not in labels[pipeline]
    ]
    return found + list(_groups(config, labels))


def _named(config: settings.Config) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield the pipeline whose labels are meant, where they are named, and the names."""
    for pipeline in config.pipeline:
        for zone in pipeline.zone:
            yield pipeline.name, f"zone {zone.name!r}", zone.labels
        for line in pipeline.line:
            yield pipeline.name, f"line {line.name!r}", line.labels
        if isinstance(pipeline.source, settings.CropsSource):
            yield pipeline.source.of, f"the source of pipeline {pipeline.name!r}", pipeline.source.labels
    for alert in config.alert:
        if alert.label and alert.pipeline:
            yield alert.pipeline, f"alert {alert.name!r}", (alert.label,)


def _groups(config: settings.Config, labels: Labels) -> Iterator[tuple[str, str]]:
    """Yield groups of labels that no model on the device has; a group may name those of models that come later, too."""
    known = {label for of_one in labels.values() for label in of_one}
    if not known or len(labels) < len(config.pipeline):
        return
    groups = [(f"count {name!r}", names) for name, names in config.homeassistant.count.items()]
    groups += [(f"alert {one.name!r}", (one.label,)) for one in config.alert if one.label and not one.pipeline]
    for where, names in groups:
        if known.isdisjoint(names):
            yield "", f"{where} names {', '.join(map(repr, names))}, of which no model on this device has a label"


def _meant(name: str, labels: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, labels, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    some = [label for label in labels if label]
    return f"; it has {', '.join(some[:SHOWN])}{', ...' if len(some) > SHOWN else ''}"
