from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from inferd.config.telemetry import HomeAssistant
from inferd.records import Incoming
from inferd.telemetry.homeassistant.discovery import messages, removals
from inferd.telemetry.homeassistant.entities import entities
from inferd.telemetry.homeassistant.facts import DeviceFacts
from inferd.telemetry.remote.request_filter import AcceptedRequest, RequestFilter

DEVICE = HomeAssistant(enabled=True)
ENTITY = HomeAssistant(enabled=True, form="entity")
CAM = DeviceFacts("kitchen", "inferd", "0.1.0", "Raspberry Pi 4", "Debian", {"cam": ("detect",)}, basis="estimated")


def told(facts: DeviceFacts, said: HomeAssistant = DEVICE) -> dict[str, Any]:
    (payload,) = messages(facts, said).values()
    message: dict[str, Any] = msgspec.json.decode(payload)
    return message


def test_a_device_is_one_message_with_all_its_entities() -> None:
    message = told(CAM)
    assert set(messages(CAM, DEVICE)) == {"homeassistant/device/kitchen/config"}
    assert message["device"]["identifiers"] == ["inferd_kitchen"]
    assert message["avty"] == [{"t": "inferd/kitchen/status"}]
    assert message["components"]["pipeline_cam_occupancy"]["platform"] == "binary_sensor"


def test_an_older_server_gets_each_entity_by_itself_with_the_same_unique_id() -> None:
    alone = {topic: msgspec.json.decode(payload) for topic, payload in messages(CAM, ENTITY).items()}
    occupancy = alone["homeassistant/binary_sensor/kitchen/pipeline_cam_occupancy/config"]
    assert occupancy["uniq_id"] == told(CAM)["components"]["pipeline_cam_occupancy"]["uniq_id"]
    assert occupancy["device"] == told(CAM)["device"]
    assert "platform" not in occupancy
    assert len(alone) == len(told(CAM)["components"])


def test_no_unique_id_depends_on_a_label_a_version_or_a_task() -> None:
    before, after = (
        entities(facts, DEVICE) for facts in (CAM, msgspec.structs.replace(CAM, tasks={"cam": ("classify",)}))
    )
    shared = before.keys() & after.keys()
    assert "pipeline_cam_label" in shared
    assert {key: before[key]["unique_id"] for key in shared} == {key: after[key]["unique_id"] for key in shared}


def test_a_classifier_has_presence_only_for_labels_that_the_user_names() -> None:
    facts = msgspec.structs.replace(CAM, tasks={"cam": ("classify",)})
    assert not {"pipeline_cam_occupancy", "pipeline_cam_count"} & entities(facts, DEVICE).keys()
    shown = entities(facts, HomeAssistant(count={"people": ("person",)}))
    assert "counts.get('person', 0)) > 0" in shown["pipeline_cam_occupancy_people"]["value_template"]
    assert shown["pipeline_cam_label"]["value_template"] == "{{ value_json.label }}"


def test_zones_and_lines_are_entities_of_their_own() -> None:
    facts = msgspec.structs.replace(CAM, zones={"cam": ("front door",)}, lines={"cam": ("street",)})
    shown = entities(facts, DEVICE)
    zone = next(key for key in shown if key.startswith("pipeline_cam_count_zone_front_door_"))
    assert shown[zone]["value_template"] == "{{ (value_json.zones or {}).get('front door', 0) }}"
    assert shown[zone.replace("count", "occupancy")]["device_class"] == "occupancy"
    for way in ("in", "out"):
        line = shown[f"pipeline_cam_line_street_{way}"]
        assert line["state_class"] == "total_increasing"
        assert f".get('{way}', 0)" in line["value_template"]
    matcher = re.compile(r"[a-zA-Z0-9_-]+")
    assert all(matcher.fullmatch(key) for key in shown)


def test_a_pipeline_that_publishes_pictures_has_an_image() -> None:
    shown = entities(msgspec.structs.replace(CAM, images=frozenset({"cam"})), DEVICE)
    assert shown["pipeline_cam_image"]["image_topic"] == "inferd/kitchen/cam/image"
    assert "pipeline_cam_image" not in entities(CAM, DEVICE)


def test_names_that_become_the_same_key_stay_apart() -> None:
    facts = msgspec.structs.replace(CAM, zones={"cam": ("a b", "a_b", "a.b")})
    assert len([key for key in entities(facts, DEVICE) if key.startswith("pipeline_cam_count_zone_")]) == 3


def test_the_best_score_is_an_entity_from_the_results() -> None:
    shown = entities(CAM, DEVICE)["pipeline_cam_score"]
    assert shown["state_topic"] == "inferd/kitchen/cam/result"


def test_energy_for_each_result_is_no_entity_where_power_is_unknown() -> None:
    facts = msgspec.structs.replace(CAM, unavailable=frozenset({"power_w"}))
    assert "metric_agent_inference_energy_mj_estimated" in entities(CAM, DEVICE)
    assert not [key for key in entities(facts, DEVICE) if "energy" in key]


def test_an_alias_counts_all_its_labels() -> None:
    said = HomeAssistant(count={"people": ("person", "o'human")})
    counted = entities(CAM, said)["pipeline_cam_count_people"]
    assert (
        counted["value_template"] == r"{{ value_json.counts.get('person', 0) + value_json.counts.get('o\'human', 0) }}"
    )


def test_what_the_device_cannot_tell_is_no_entity() -> None:
    facts = msgspec.structs.replace(CAM, unavailable=frozenset({"fan_rpm", "temperature_c"}))
    assert "metric_system_fan_rpm" in entities(CAM, DEVICE)
    assert not {"metric_system_fan_rpm", "metric_system_temperature_c"} & entities(facts, DEVICE).keys()


def test_measured_and_estimated_power_are_different_entities_and_only_one_is_there() -> None:
    keys = entities(CAM, DEVICE).keys()
    assert "metric_system_power_w_estimated" in keys
    assert "metric_system_power_w_measured" not in keys


def test_names_are_words() -> None:
    names = {key: one["name"] for key, one in entities(CAM, DEVICE).items()}
    assert names["metric_system_temperature_c"] == "Temperature"
    assert names["metric_system_memory_available_mb"] == "Memory available"
    assert names["metric_pipelines_cam_latency_ms_total_p95"] == "cam latency total"
    assert names["metric_processes_worker_rss_mb"] == "Worker RSS"
    assert len(set(names.values())) == len(names)


def test_a_metered_device_shows_its_roll_up_and_nothing_that_it_does_not_send() -> None:
    shown = entities(msgspec.structs.replace(CAM, metered=True), DEVICE)
    assert shown["metric_system_temperature_c"]["state_topic"] == "inferd/kitchen/rollup"
    assert "pipeline_cam_occupancy" not in shown


def test_what_is_gone_is_named_by_its_platform_and_then_left_out() -> None:
    anomaly = msgspec.structs.replace(CAM, tasks={"cam": ("anomaly",)})
    before, now = messages(CAM, DEVICE), messages(anomaly, DEVICE)
    ((topic, payload),) = removals(before, now)
    parts = msgspec.json.decode(payload)["components"]
    assert topic == "homeassistant/device/kitchen/config"
    assert parts["pipeline_cam_label"] == {"platform": "sensor"}
    assert parts["pipeline_cam_anomaly"]["dev_cla"] == "problem"
    assert removals(now, now) == []


def test_a_topic_that_is_gone_is_emptied() -> None:
    assert set(removals(messages(CAM, ENTITY), messages(CAM, DEVICE))) == {
        (topic, b"") for topic in messages(CAM, ENTITY)
    }


@pytest.mark.parametrize("said", [DEVICE, ENTITY])
def test_topics_and_keys_hold_only_what_home_assistant_takes(said: HomeAssistant) -> None:
    matcher = re.compile(r"homeassistant/\w+/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config")
    facts = DeviceFacts("a-b_c", "site/inferd", tasks={"front-door_2": ("detect",)})
    assert all(matcher.fullmatch(topic) for topic in messages(facts, said))


def test_the_one_message_is_small_enough_for_any_broker() -> None:
    (payload,) = messages(CAM, DEVICE).values()
    assert len(payload) < 25_000


OBEYING = msgspec.structs.replace(CAM, access="all")


def test_what_cannot_be_asked_cannot_be_set() -> None:
    assert not {one["platform"] for one in entities(CAM, DEVICE).values()} & {"number", "button", "switch"}


def test_the_interval_is_a_number_that_follows_what_the_device_says() -> None:
    number = entities(OBEYING, DEVICE)["interval"]
    assert (number["platform"], number["state_topic"]) == ("number", "inferd/kitchen/info")
    assert (number["min"], number["max"], number["command_topic"]) == (1.0, 86_400.0, "inferd/kitchen/request/interval")


@pytest.mark.parametrize("key", ["interval", "request_metrics", "request_reload"])
def test_what_is_set_or_pressed_is_a_request_that_the_gate_lets_in(key: str) -> None:
    entity = entities(OBEYING, DEVICE)[key]
    payload = (
        entity["command_template"]
        .replace("{{ now().timestamp() }}", "1795352828.123456")
        .replace("{{ value }}", "30.0")
    )
    asked = RequestFilter("inferd", "kitchen").admit(Incoming(entity["command_topic"], payload.encode()), 1.0)
    assert isinstance(asked, AcceptedRequest)


def test_a_metered_line_has_no_interval_to_set() -> None:
    assert "interval" not in entities(msgspec.structs.replace(OBEYING, metered=True), DEVICE)


@pytest.mark.parametrize("said", [DEVICE, ENTITY])
def test_what_can_be_set_no_more_is_taken_away(said: HomeAssistant) -> None:
    gone = removals(messages(OBEYING, said), messages(CAM, said))
    told = b"".join(topic.encode() + payload for topic, payload in gone)
    assert all(key in told for key in (b"interval", b"request_metrics", b"request_reload"))
    assert b"command_topic" not in told


def test_while_there_is_no_model_its_entity_tells_no_version() -> None:
    template = entities(CAM, DEVICE)["pipeline_cam_model"]["value_template"]
    assert template.startswith("{{ dict({'title': value_json.name, 'in_progress': value_json.state == 'loading'}, **(")
    assert "if (value_json.version or value_json.digest[:8]) else {}" in template
    assert "in_progress" not in entities(CAM, ENTITY)["pipeline_cam_model"]["value_template"]
