"""The entities that Home Assistant shows of this device, from the metric table and the pipelines. Pure.

What can be set and pressed there is in `controls.py`.

An entity's unique id is made of the device's id, the pipeline's name and what it tells, never of a label: a new model with
other labels leaves every entity where it is.
"""

from __future__ import annotations

import re
import typing
import zlib
from collections.abc import Iterator, Sequence

from inferd.config.telemetry import HomeAssistant
from inferd.telemetry.homeassistant.controls import settables
from inferd.telemetry.homeassistant.facts import DeviceFacts, Entity
from inferd.telemetry.metrics import LABEL_VALUES, METRICS, Metric
from inferd.wire import telemetry, topics

COUNTING_TASKS = ("detect", "segment", "pose")
"""Tasks whose every label is something that is there. A classifier's label may say that nothing is."""
SEEING_TASKS = (*COUNTING_TASKS, "classify")
SCORED_TASKS = ("classify", "detect", "anomaly")
NEEDS_POWER = ("inference_energy_mj", "inference_energy_above_idle_mj")
ENABLED = {
    "system.cpu_pct",
    "system.memory_available_mb",
    "system.temperature_c",
    "system.throttled_s",
    "system.power_w",
    "system.disk_free_mb",
    "agent.alerts_active",
    "pipelines.fps",
}
"""Metrics that are shown at once; Home Assistant lists the others as disabled, and a person may enable them."""

SHOWN_PROCESSES = ("control", "worker")
SHOWN_STAGE = "total"
UNITS = {"1/min": "rpm", "1/s": "fps"}
CLASSES = {"°C": "temperature", "W": "power", "MHz": "frequency", "MB": "data_size", "s": "duration", "ms": "duration"}
WORDS = {"cpu": "CPU", "rss": "RSS", "pss": "PSS", "fps": "speed", "pct": "", "mb": "", "c": "", "s": ""}
WORDS |= {"ms": "", "w": "", "mj": "", "mhz": "", "rpm": "speed"}


def entities(facts: DeviceFacts, said: HomeAssistant) -> dict[str, Entity]:
    """Return every entity by its key, `platform` among what it says."""
    told: dict[str, Entity] = {"event": _events(facts), **dict(settables(facts))}
    for metric in METRICS:
        told.update(_of_metric(metric, facts))
    for pipeline, tasks in facts.tasks.items():
        told.update(_of_pipeline(pipeline, tasks, facts, said))
    return {
        key: {"unique_id": f"{facts.prefix.replace('/', '-')}_{facts.device}_{key}", **entity}
        for key, entity in told.items()
    }


def _events(facts: DeviceFacts) -> Entity:
    kinds = list(typing.get_args(telemetry.EventKind))
    told = "{'event_type': value_json.kind, 'message': value_json.message, 'pipeline': value_json.pipeline}"
    return {
        "platform": "event",
        "name": "Events",
        "state_topic": facts.topic(topics.EVENT),
        "event_types": kinds,
        "value_template": f"{{{{ ({told}) | tojson }}}}",
        "entity_category": "diagnostic",
    }


def _of_metric(metric: Metric, facts: DeviceFacts) -> Iterator[tuple[str, Entity]]:
    """Yield the entities of one line of the metric table."""
    if metric.group in ("system", "agent"):
        if metric.name in facts.unavailable or (metric.by == "basis" and not facts.basis):
            return
        if metric.name in NEEDS_POWER and "power_w" in facts.unavailable:
            return
        for value in _shown_values(metric, facts):
            yield _sensor(metric, facts, (metric.group, metric.name, *value), _words(metric.name, *value))
    elif metric.group == "processes":
        for process in SHOWN_PROCESSES:
            where = (metric.group, process, metric.name)
            yield _sensor(metric, facts, where, f"{process.capitalize()} {_words(metric.name)}")
    else:
        for pipeline in facts.tasks:
            for value in _shown_values(metric, facts):
                path = (metric.group, pipeline, metric.name, *value)
                yield _sensor(metric, facts, path, f"{pipeline} {_words(metric.name, *value[:1]).lower()}")


def _shown_values(metric: Metric, facts: DeviceFacts) -> Sequence[tuple[str, ...]]:
    """Return what follows a metric's name in the message, for each figure that becomes an entity."""
    match metric.by:
        case None:
            return ((),)
        case "stage":
            return ((SHOWN_STAGE, "p95"),)
        case "basis":
            return ((facts.basis,),)
    return [(value,) for value in LABEL_VALUES[metric.by]]


def _sensor(metric: Metric, facts: DeviceFacts, path: tuple[str, ...], name: str) -> tuple[str, Entity]:
    value = f"value_json.{path[0]}"  # every group is in every message
    for step in path[1:-1]:
        value = f"({value}.get('{step}') or {{}})"
    value = f"{value}.get('{path[-1]}')"
    known = CLASSES.get(metric.unit)
    entity: Entity = {
        "platform": "sensor",
        "name": name,
        "state_topic": facts.topic(topics.ROLLUP if facts.metered else topics.METRICS),
        "value_template": f"{{{{ {value} }}}}",
        "state_class": "total_increasing" if metric.kind == "counter" else "measurement",
        "entity_category": "diagnostic",
    }
    if f"{metric.group}.{metric.name}" not in ENABLED and metric.by != "stage":
        entity["enabled_by_default"] = False
    if metric.unit:
        entity["unit_of_measurement"] = UNITS.get(metric.unit, metric.unit)
    if known and not (metric.kind == "counter" and known == "duration"):
        entity["device_class"] = known
    if metric.kind != "counter":
        entity["suggested_display_precision"] = 1
    return "metric_" + "_".join(path), entity


def _of_pipeline(
    pipeline: str, tasks: Sequence[str], facts: DeviceFacts, said: HomeAssistant
) -> Iterator[tuple[str, Entity]]:
    """Yield what a pipeline sees, how it is, and its model."""
    yield (
        f"pipeline_{pipeline}_status",
        {
            "platform": "sensor",
            "name": f"{pipeline} status",
            "state_topic": facts.topic(topics.PIPELINE_STATUS, pipeline),
            "value_template": "{{ value_json.status }}",
            "json_attributes_topic": facts.topic(topics.PIPELINE_STATUS, pipeline),
            "json_attributes_template": "{{ {'why': value_json.why, 'since': value_json.since} | tojson }}",
            "entity_category": "diagnostic",
        },
    )
    yield f"pipeline_{pipeline}_model", _update(pipeline, facts, said)
    if facts.metered:
        return  # neither states nor results are sent
    if pipeline in facts.images:
        yield (
            f"pipeline_{pipeline}_image",
            {
                "platform": "image",
                "name": f"{pipeline} image",
                "image_topic": facts.topic(topics.IMAGE, pipeline),
                "content_type": "image/jpeg",
            },
        )
    if any(task in COUNTING_TASKS for task in tasks):
        yield from _presence(pipeline, facts, "", "value_json.count")
    if any(task in SEEING_TASKS for task in tasks):
        yield from _of_labels(pipeline, facts, said)
    yield from _of_zones(pipeline, facts)
    if "anomaly" in tasks:
        yield f"pipeline_{pipeline}_anomaly", _anomaly(pipeline, facts)
    if any(task in SCORED_TASKS for task in tasks):
        yield f"pipeline_{pipeline}_score", _score(pipeline, facts)


def _presence(pipeline: str, facts: DeviceFacts, what: str, count: str) -> Iterator[tuple[str, Entity]]:
    """Yield how many of something there are, and whether there is any; `count` is the expression of a template."""
    seen = _seen(pipeline, facts)
    ending = f"_{_key(what)}" if what else ""
    name = f"{pipeline} {what.replace('_', ' ')}" if what else pipeline
    yield (
        f"pipeline_{pipeline}_occupancy{ending}",
        {
            **seen,
            "platform": "binary_sensor",
            "name": f"{name} occupancy",
            "device_class": "occupancy",
            "value_template": f"{{{{ 'ON' if ({count}) > 0 else 'OFF' }}}}",
        },
    )
    yield (
        f"pipeline_{pipeline}_count{ending}",
        {
            **seen,
            "platform": "sensor",
            "name": name if what else f"{pipeline} count",
            "state_class": "measurement",
            "value_template": f"{{{{ {count} }}}}",
        },
    )


def _of_labels(pipeline: str, facts: DeviceFacts, said: HomeAssistant) -> Iterator[tuple[str, Entity]]:
    seen = _seen(pipeline, facts)
    yield (
        f"pipeline_{pipeline}_label",
        {
            **seen,
            "platform": "sensor",
            "name": f"{pipeline} label",
            "value_template": "{{ value_json.label }}",
            "json_attributes_topic": seen["state_topic"],
            "json_attributes_template": "{{ value_json.counts | tojson }}",
        },
    )
    for alias, labels in said.count.items():
        terms = " + ".join(f"value_json.counts.get({_quoted(label)}, 0)" for label in labels)
        yield from _presence(pipeline, facts, alias, terms or "0")


def _of_zones(pipeline: str, facts: DeviceFacts) -> Iterator[tuple[str, Entity]]:
    """Yield how many are in each zone, and how many ever crossed each line, by direction."""
    for zone in facts.zones.get(pipeline, ()):
        yield from _presence(pipeline, facts, f"zone_{zone}", f"(value_json.zones or {{}}).get({_quoted(zone)}, 0)")
    for line in facts.lines.get(pipeline, ()):
        for way in ("in", "out"):
            count = f"((value_json.lines or {{}}).get({_quoted(line)}) or {{}}).get('{way}', 0)"
            yield (
                f"pipeline_{pipeline}_line_{_key(line)}_{way}",
                {
                    **_seen(pipeline, facts),
                    "platform": "sensor",
                    "name": f"{pipeline} line {line} {way}",
                    "state_class": "total_increasing",
                    "value_template": f"{{{{ {count} }}}}",
                },
            )


def _score(pipeline: str, facts: DeviceFacts) -> Entity:
    """Return the entity of the best score, from the results themselves: it is there as often as they are sent."""
    listed = "(value_json.labels or value_json.boxes or [])"
    score = (
        f"value_json.score if value_json.score is defined else ({listed} | map(attribute='score') | max | default(0))"
    )
    return {
        **_seen(pipeline, facts),
        "platform": "sensor",
        "name": f"{pipeline} score",
        "state_topic": facts.topic(topics.RESULT, pipeline),
        "value_template": f"{{{{ {score} }}}}",
        "state_class": "measurement",
        "suggested_display_precision": 2,
        "enabled_by_default": False,
    }


def _anomaly(pipeline: str, facts: DeviceFacts) -> Entity:
    return {
        **_seen(pipeline, facts),
        "platform": "binary_sensor",
        "name": f"{pipeline} anomaly",
        "device_class": "problem",
        "value_template": "{{ 'OFF' if value_json.label in (None, 'normal') else 'ON' }}",
    }


def _seen(pipeline: str, facts: DeviceFacts) -> Entity:
    """Return what entities of the settled answer have in common: while the pipeline does not run they are unavailable."""
    runs = "{{ 'online' if value_json.status in ('running', 'degraded') else 'offline' }}"
    return {
        "state_topic": facts.topic(topics.STATE, pipeline),
        "availability": [
            {"topic": facts.topic(topics.STATUS)},
            {"topic": facts.topic(topics.PIPELINE_STATUS, pipeline), "value_template": runs},
        ],
        "availability_mode": "all",
    }


def _update(pipeline: str, facts: DeviceFacts, said: HomeAssistant) -> Entity:
    """Return the entity of the model; only servers that know the "device" form know `in_progress` (2024.11)."""
    version = "(value_json.version or value_json.digest[:8])"
    told = "'title': value_json.name"
    if said.form == "device":
        told += ", 'in_progress': value_json.state == 'loading'"
    # While there is no model there is no version to tell: null is none to Home Assistant 2024.11.
    versions = f"{{'installed_version': {version}, 'latest_version': {version}}} if {version} else {{}}"
    return {
        "platform": "update",
        "name": f"{pipeline} model",
        "state_topic": facts.topic(topics.MODEL, pipeline),
        "value_template": f"{{{{ dict({{{told}}}, **({versions})) | tojson }}}}",
        "entity_category": "diagnostic",
    }


def _words(*names: str) -> str:
    """Return names of metrics and labels as words: "temperature_c" becomes "Temperature"."""
    parts = [WORDS.get(part, part) for name in names for part in name.split("_")]
    text = " ".join(part for part in parts if part)
    return text[:1].upper() + text[1:]


def _key(name: str) -> str:
    """Return a name as Home Assistant takes it in topics and ids; one that it does not take gets a checksum of its own."""
    kept = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    return kept if kept == name else f"{kept}_{zlib.crc32(name.encode()):08x}"


def _quoted(label: str) -> str:
    """Return a label as a string of a template."""
    return "'" + label.replace("\\", "\\\\").replace("'", "\\'") + "'"
