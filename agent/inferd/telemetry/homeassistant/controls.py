"""What a person may set or press in Home Assistant: the requests of `wire/requests.py` that make sense there. Pure.

Each sends a request over the broker; what it changed is read from what the device says after, so that a number that was
refused goes back to what is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferd.telemetry.homeassistant.facts import DeviceFacts, Entity
from inferd.wire import topics
from inferd.wire.requests import LONGEST_INTERVAL_S, SHORTEST_INTERVAL_S, VERBS, allows

BUTTONS: Mapping[str, str] = {"metrics": "Report now", "reload": "Reload configuration"}
ID = "home-assistant-{{ now().timestamp() }}"  # an id is obeyed once


def settables(facts: DeviceFacts) -> Iterator[tuple[str, Entity]]:
    """Yield what can be set and pressed, as far as the device carries out plain requests."""
    if not facts.metered and _works(facts, "interval"):  # a roll-up comes every hour, whatever is set
        yield "interval", _interval(facts)
    for verb, name in BUTTONS.items():
        if _works(facts, verb):
            yield f"request_{verb}", {"platform": "button", "name": name, **_asking(facts, verb, "{}")}


def _works(facts: DeviceFacts, verb: str) -> bool:
    return allows(facts.access, VERBS[verb].level)


def _interval(facts: DeviceFacts) -> Entity:
    return {
        "platform": "number",
        "name": "Report interval",
        "state_topic": facts.topic(topics.INFO),
        "value_template": "{{ value_json.metrics_interval_s }}",
        "min": SHORTEST_INTERVAL_S,
        "max": LONGEST_INTERVAL_S,
        "step": 1.0,
        "mode": "box",
        "device_class": "duration",
        "unit_of_measurement": "s",
        **_asking(facts, "interval", '{"interval_s": {{ value }}}'),
    }


def _asking(facts: DeviceFacts, verb: str, data: str) -> Entity:
    return {
        "command_topic": topics.full_topic(facts.prefix, facts.device, f"{topics.REQUEST}{verb}"),
        "command_template": f'{{"id": "{ID}", "data": {data}}}',
        "entity_category": "config",
    }
