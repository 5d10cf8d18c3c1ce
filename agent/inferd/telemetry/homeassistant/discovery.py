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


def _encoded(told: Entity) -> bytes:
    return msgspec.json.encode(told)
