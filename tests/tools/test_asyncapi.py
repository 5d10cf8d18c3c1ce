"""docs/asyncapi.yaml: right by AsyncAPI 3's own schema, and every example in it right by the schema beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferd.telemetry.metrics import METRICS
from inferd.wire.requests import VERBS
from inferd.wire.topics import TOPICS
from inferd_tools.docs.asyncapi import EXAMPLES, asyncapi

jsonschema = pytest.importorskip("jsonschema")

SPECS = "@asyncapi/specs@6.11.1"
WITHOUT_IDS = "package/schemas/3.0.0-without-$id.json"
Json = dict[str, Any]  # Any: JSON


@pytest.fixture(scope="module")
def document() -> Json:
    told: Json = yaml.safe_load(asyncapi())
    return told


@pytest.fixture(scope="module")
def specification(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Json:
    """Return AsyncAPI 3's own schema, from npm the first time."""
    assert pytestconfig.cache is not None
    kept: Json | None = pytestconfig.cache.get("asyncapi/specs", None)
    if kept is not None:
        return kept
    if shutil.which("npm") is None:
        pytest.skip("npm has AsyncAPI's schema; apt-get install npm")
    folder = tmp_path_factory.mktemp("npm")
    packed = subprocess.run(["npm", "pack", "--silent", SPECS], cwd=folder, capture_output=True, text=True, check=False)
    if packed.returncode:
        pytest.skip(f"npm cannot get {SPECS}: {packed.stderr.strip()[-200:]}")
    with tarfile.open(folder / packed.stdout.strip()) as archive:
        member = archive.extractfile(WITHOUT_IDS)
        assert member is not None
        fetched: Json = json.load(member)
    pytestconfig.cache.set("asyncapi/specs", fetched)
    return fetched


@pytest.mark.slow
def test_the_document_is_right_by_asyncapis_own_schema(document: Json, specification: Json) -> None:
    jsonschema.Draft7Validator(specification).validate(document)


def resolved(document: Json, name: str) -> Json:
    """Return a message's schema with all components beside it, so that its references are found."""
    payload = document["components"]["messages"][name]["payload"]
    return {**payload, "components": {"schemas": document["components"]["schemas"]}}


def test_every_example_is_right_by_the_schema_beside_it(document: Json) -> None:
    checked = 0
    for name, message in document["components"]["messages"].items():
        for example in message.get("examples", ()):
            jsonschema.Draft7Validator(resolved(document, name)).validate(example["payload"])
            checked += 1
    assert checked == len(json.loads(EXAMPLES.read_text()))


def test_a_wrong_message_is_noticed_by_its_schema(document: Json) -> None:
    event = json.loads(EXAMPLES.read_text())["event"]
    for wrong in ({"severity": "terrible"}, {"seq": "one"}, {"kind": None}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft7Validator(resolved(document, "event")).validate(event | wrong)


def test_every_topic_and_every_request_has_its_example_qos_and_retain_flag(document: Json) -> None:
    bindings = {name: one["bindings"]["mqtt"] for name, one in document["operations"].items()}
    for topic in TOPICS:
        name = topic.path.replace("<", "").replace(">", "").replace("/", "_")
        assert document["components"]["messages"][name]["examples"], topic.path
        assert (bindings[f"send_{name}"]["qos"], bindings[f"send_{name}"]["retain"]) == (topic.qos, topic.retain)
    for verb in VERBS:
        name = verb.replace("/", "_")
        assert document["operations"][f"receive_request_{name}"]["reply"]
        assert document["components"]["messages"][f"response_{name}"]["examples"], verb


def test_every_metric_of_the_table_is_described(document: Json) -> None:
    told = json.dumps(document["components"]["schemas"]["Metrics"])
    for metric in METRICS:
        assert json.dumps(metric.help) in told, metric.path


def test_examples_name_no_place_of_whoever_captured_them() -> None:
    here = Path(__file__).parents[2]
    assert str(here) not in EXAMPLES.read_text()
