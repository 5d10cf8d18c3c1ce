"""What Home Assistant is told of this device, so that it shows it without being configured. Pure: facts in, payloads out.

Two forms. "device": one retained message for the whole device (Home Assistant 2024.11 and later,
home-assistant.io/integrations/mqtt/#device-discovery-payload). "entity": one for each entity, for older ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inferd.config.telemetry import HomeAssistant
from inferd.telemetry.homeassistant.entities import entities
from inferd.telemetry.homeassistant.facts import DeviceFacts, Entity
from inferd.wire import topics

# home-assistant.io/integrations/mqtt/#supported-abbreviations-in-mqtt-discovery-messages: what makes up most of a message.
SHORT = {
    "availability": "avty",
    "availability_mode": "avty_mode",
    "command_template": "cmd_tpl",
    "command_topic": "cmd_t",
    "device_class": "dev_cla",
    "enabled_by_default": "en",
    "entity_category": "ent_cat",
    "json_attributes_template": "json_attr_tpl",
    "json_attributes_topic": "json_attr_t",
    "state_class": "stat_cla",
    "state_topic": "stat_t",
    "suggested_display_precision": "sug_dsp_prc",
    "topic": "t",
    "unique_id": "uniq_id",
    "unit_of_measurement": "unit_of_meas",
    "value_template": "val_tpl",
}


def messages(facts: DeviceFacts, said: HomeAssistant) -> dict[str, bytes]:
    """Return topic → payload, to be retained; everything that is to be known of the device."""
    if said.form == "entity":
        return {
            f"{said.prefix}/{entity['platform']}/{facts.device}/{key}/config": _encoded(_alone(facts, said, entity))
            for key, entity in entities(facts, said).items()
        }
    return {f"{said.prefix}/device/{facts.device}/config": _encoded(whole(facts, said))}


def removals(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """Return the messages that take away what was told before and is no longer, in order.

    What is gone from a device's one message must first be named without anything but its platform; a topic that is gone
    is emptied.
    """
    gone: list[tuple[str, bytes]] = []
    for topic, payload in before.items():
        if topic not in now:
            gone.append((topic, b""))
        elif "/device/" in topic and (bare := _bare_removals(payload, now[topic])) is not None:
            gone.append((topic, bare))
    return gone


def whole(facts: DeviceFacts, said: HomeAssistant) -> Entity:
    """Return the one message of the "device" form."""
    return {**_common(facts, said), "components": entities(facts, said)}


def _common(facts: DeviceFacts, said: HomeAssistant) -> Entity:
    device: Entity = {
        "identifiers": [f"inferd_{facts.device}"],
        "name": said.name or facts.device,
        "manufacturer": "inferd",
        "model": facts.board or facts.os or "inferd device",
        "sw_version": facts.version,
    }
    if said.area:
        device["suggested_area"] = said.area
    return {
        "device": device,
        "origin": {"name": "inferd", "sw_version": facts.version},
        "availability": [{"topic": facts.topic(topics.STATUS)}],
        "availability_mode": "all",
        "qos": 1,
    }


def _alone(facts: DeviceFacts, said: HomeAssistant, entity: Entity) -> Entity:
    """Return an entity as the "entity" form tells it: with everything that the others say as well."""
    common = _common(facts, said)
    return {**common, **{key: value for key, value in entity.items() if key != "platform"}}


def _bare_removals(before: bytes, now: bytes) -> bytes | None:
    """Return the new message with what is gone named by its platform alone; None where nothing is gone."""
    old, new = (msgspec.json.decode(payload, type=dict[str, Any]) for payload in (before, now))
    gone = {
        key: {"platform": old["components"][key]["platform"]}
        for key in old["components"].keys() - new["components"].keys()
    }
    if not gone:
        return None
    return _encoded({**new, "components": {**new["components"], **gone}})


def _encoded(message: Entity) -> bytes:
    return msgspec.json.encode(_shortened(message))


def _shortened(told: Any) -> Any:  # Any: JSON
    """Return the same with Home Assistant's short keys."""
    if isinstance(told, dict):
        return {SHORT.get(key, key): _shortened(value) for key, value in told.items()}
    return [_shortened(one) for one in told] if isinstance(told, list) else told
