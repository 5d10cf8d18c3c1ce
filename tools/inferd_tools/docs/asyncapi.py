"""Makes docs/asyncapi.yaml, the AsyncAPI 3 description of what a device says and hears, from the tables and structs.

The examples are messages of a real run, which `python -m inferd_tools.docs.examples` has put into docs/examples.json.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from inferd import __version__
from inferd.telemetry.encryption.payload import Sealed
from inferd.telemetry.metrics import GROUP_LABELS, LABEL_VALUES, METRICS, Group, Metric
from inferd.telemetry.outgoing.batches import MOST_TOGETHER
from inferd.wire import requests, telemetry, topics
from inferd.wire.result import Inference, ResultOrigin
from inferd.wire.topics import TOPICS, Topic

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples.json"
SCHEMAS = "#/components/schemas/"
Json = dict[str, Any]  # Any: JSON

BODIES: Mapping[str, tuple[type[msgspec.Struct], ...]] = {
    topics.INFO.path: (telemetry.Info,),
    topics.METRICS.path: (telemetry.Metrics,),
    topics.ROLLUP.path: (telemetry.Metrics,),
    topics.EVENT.path: (telemetry.Event,),
    topics.PIPELINE_STATUS.path: (telemetry.PipelineStatus,),
    topics.STATE.path: (telemetry.State,),
    topics.RESULT.path: (ResultOrigin, Inference),
    topics.MODEL.path: (telemetry.Model,),
}
DESCRIPTION = """\
What a device that runs inferd says over MQTT, and what may be asked of it. Every topic is below `<prefix>/<device>/`; what
the broker missed comes later on `replay`, in batches, each message with its own `time`. A message that comes twice has the
same `device`, `boot_id` and `seq`. Where `mqtt.seal_key_file` is set, every message but `status` is a `Sealed` with the message
in it, and every request a `SealedRequest`. docs/mqtt.md says it in sentences.
"""


def asyncapi() -> str:
    """Return the document as YAML."""
    examples: Json = msgspec.json.decode(EXAMPLES.read_bytes())
    told = [_spoken(topic, examples) for topic in TOPICS]
    asked = [one for verb in requests.VERBS for one in _asked(verb, examples)]
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "inferd",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "localhost:1883", "protocol": "mqtt", "description": "as `[mqtt]` says"}},
        "channels": {one["id"]: one["channel"] for one in (*told, *asked)},
        "operations": {name: one for made in (*told, *asked) for name, one in made["operations"].items()},
        "components": {
            "parameters": PARAMETERS,
            "schemas": _schemas(),
            "messages": {name: one for made in (*told, *asked) for name, one in made["messages"].items()},
        },
    }
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Plain(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML ships no types
    """Writes everything out, without anchors, and longer texts as people write them."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - asked of every value
        """Whether a value that stands twice is written twice."""
        return True


_Plain.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)

PARAMETERS: Json = {
    "prefix": {"description": "`mqtt.prefix`", "default": "inferd"},
    "device": {"description": "the device's id: letters, digits, `-` and `_`"},
    "pipeline": {"description": "a pipeline's name, as configured"},
}


def _spoken(topic: Topic, examples: Json) -> Json:
    """Return the channel of a topic that the device speaks on."""
    message = _message(topic, examples.get(topic.path))
    return _channel(topic.path, _name(topic.path), message, "send", _mqtt(topic.qos, retain=topic.retain), topic.about)


def _asked(verb: str, examples: Json) -> Iterable[Json]:
    """Yield the channels of a request and of its answer."""
    entry = requests.VERBS[verb]
    request = {
        "type": "object",
        "required": ["id"] if not _required(entry.takes) else ["id", "data"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": requests.LONGEST_ID},
            "data": {"$ref": f"{SCHEMAS}{entry.takes.__name__}"},
        },
    }
    to, back = f"{topics.REQUEST}{verb}", f"{topics.RESPONSE}{verb}"
    asked = _channel(
        to, _name(to), _payload(request, entry.about, examples.get(to)), "receive", _mqtt(1, retain=False), entry.about
    )
    answer: Json = {"allOf": [{"$ref": f"{SCHEMAS}Header"}, {"$ref": f"{SCHEMAS}Response"}]}
    if verb == "snapshot":
        picture: Json = {"anyOf": [{"$ref": f"{SCHEMAS}Snapshot"}, {"type": "null"}]}
        answer["allOf"].append({"type": "object", "properties": {"data": picture}})
    about = f"the answer to `{to}`, there or where MQTT 5's response topic says"
    answered = _channel(
        back, _name(back), _payload(answer, about, examples.get(back)), "send", _mqtt(1, retain=False), about
    )
    operation = asked["operations"][f"receive_{_name(to)}"]
    operation["reply"] = {
        "channel": {"$ref": f"#/channels/{_name(back)}"},
        "messages": [{"$ref": f"#/channels/{_name(back)}/messages/{_name(back)}"}],
    }
    yield asked
    yield {**answered, "operations": {}}


def _channel(path: str, name: str, message: Json, action: str, bindings: Json, about: str) -> Json:
    address = "{prefix}/{device}/" + path.replace("<pipeline>", "{pipeline}")
    used = [parameter for parameter in PARAMETERS if f"{{{parameter}}}" in address]
    channel = {
        "address": address,
        "description": about,
        "parameters": {one: {"$ref": f"#/components/parameters/{one}"} for one in used},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }
    operation = {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": about,
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": bindings,
    }
    return {"id": name, "channel": channel, "operations": {f"{action}_{name}": operation}, "messages": {name: message}}


def _message(topic: Topic, example: Any) -> Json:  # Any: JSON, or text
    if topic is topics.STATUS:
        said = {"type": "string", "enum": [topics.ONLINE.decode(), topics.OFFLINE.decode()]}
        return {**_payload(said, topic.about, example), "contentType": "text/plain"}
    if topic is topics.REPLAY:
        return _payload(_batch(), topic.about, example)
    return _payload(_said(topic), topic.about, example)


def _said(topic: Topic) -> Json:
    bodies: list[type[msgspec.Struct]] = [telemetry.Header, *BODIES[topic.path]]
    return {"allOf": [{"$ref": f"{SCHEMAS}{one.__name__}"} for one in bodies]}


def _batch() -> Json:
    """Return the schema of what was missed: all that is not retained may stand in it."""
    missed = [_said(topic) for topic in TOPICS if not topic.retain and topic is not topics.REPLAY]
    record = {
        "type": "object",
        "required": ["topic", "message"],
        "properties": {"topic": {"type": "string"}, "message": {"anyOf": missed}},
    }
    return {"type": "array", "minItems": 1, "maxItems": MOST_TOGETHER, "items": record}


def _payload(schema: Json, about: str, example: Any) -> Json:  # Any: JSON, or text
    examples = {} if example is None else {"examples": [{"name": "captured", "payload": example}]}
    return {"summary": about, "payload": schema, **examples}


def _mqtt(qos: int, *, retain: bool) -> Json:
    return {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": "0.2.0"}}


def _name(path: str) -> str:
    return path.replace("<", "").replace(">", "").replace("/", "_")


def _required(kind: type[msgspec.Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(kind))


def _schemas() -> Json:
    """Return the schemas of all structs; JSON Schema's draft 7, which AsyncAPI speaks."""
    bodies = [one for body in BODIES.values() for one in body]
    takes = [verb.takes for verb in requests.VERBS.values()]
    answers = [requests.Response, requests.Snapshot]
    wanted = list(dict.fromkeys([telemetry.Header, *bodies, *takes, *answers, Sealed, requests.SealedRequest]))
    _, made = msgspec.json.schema_components(wanted, ref_template=SCHEMAS + "{name}")
    for schema in made.values():  # msgspec dedents docstrings since 0.23, Python since 3.13
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
    for group in GROUP_LABELS:
        _describe(made["Metrics"]["properties"][group], group)
    schemas: Json = _draft_7(made)
    return schemas


def _describe(schema: Json, group: Group) -> None:
    """Put the metric table's lines into a group of `Metrics`."""
    table = {metric.name: _figure(metric) for metric in METRICS if metric.group == group}
    figures = {"type": "object", "properties": table, "additionalProperties": True}
    schema.clear()
    schema.update(figures if not GROUP_LABELS[group] else {"type": "object", "additionalProperties": figures})


def _figure(metric: Metric) -> Json:
    unit = {"x-unit": metric.unit} if metric.unit else {}
    about = {"description": metric.help, "x-kind": metric.kind, **unit}
    one: Json = {"type": ["number", "null"]}
    if metric.kind == "histogram":
        one = {"anyOf": [{"$ref": f"{SCHEMAS}Latency"}, {"type": "null"}]}
    if metric.by is None:
        return {**one, **about}
    by_value = {"type": "object", "properties": dict.fromkeys(LABEL_VALUES[metric.by], one)}
    return {"anyOf": [by_value, {"type": "null"}], **about}


def _draft_7(schema: Any) -> Any:  # Any: JSON of every kind
    """Return a schema of a later draft in the words of draft 7."""
    if isinstance(schema, list):
        return [_draft_7(one) for one in schema]
    if isinstance(schema, float) and schema.is_integer():
        return int(schema)  # equal bounds of two types are one object in typing's cache, whichever was made first
    if not isinstance(schema, dict):
        return schema
    told = {key: _draft_7(value) for key, value in schema.items()}
    if "prefixItems" in told:
        told["items"] = told.pop("prefixItems")
    return told
