"""Metrics, alerts, Home Assistant and Prometheus. Part of the configuration; `settings.py` holds the rest."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from inferd.config.base import ConfigTable
from inferd.wire.bounds import DAY_S, HOUR_S, Finite, Host, Name, Port, Text, TopicPrefix, Watts

PowerMeterName = Literal["auto", "sensor", "pmic", "supply", "rapl", "estimate", "off"]
AlertKind = Literal[
    "latency_p95_ms",
    "fps",
    "drop_pct",
    "temperature_c",
    "throttled",
    "memory_available_mb",
    "disk_free_mb",
    "power_w",
    "inference_energy_mj",
    "result_age_s",
    "degraded",
    "label_count",
    "zone_count",
    "score",
]


class MetricsConfig(ConfigTable, frozen=True):
    """How often the device reports its figures, and which. A meter that is off costs nothing.

    Attributes:
        interval_s: seconds between two reports.
        metered: for a connection that is paid by volume: instead of reports, results and states, a roll-up every hour;
            with alerts less than 50 kB a day.
        slow_s: seconds between two readings that take long: the firmware's and those over I2C.
        temperature: of the processor.
        throttling: whether something slows the processor down, and too low a voltage.
        clock: of the processor.
        fan: how fast it turns.
        disk: room, and what is written.
        network: what goes over it.
        pss: memory of each process with shared pages by their share; the kernel walks all pages for it, once a minute.
        power: the meter: "sensor" (INA chips, Jetson), "pmic" (Raspberry Pi 5), "supply" (battery, USB), "rapl" (x86),
            "estimate" (by processor time), "auto" (the first of these that is there), or "off".
        idle_w: what this device draws with nothing to do, measured by you; 0.0 where you do not know.
        core_w: what each busy core adds, measured by you; 0.0 takes what is known of the board.
    """

    interval_s: Annotated[float, Meta(ge=0.5, le=DAY_S)] = 60.0
    metered: bool = False
    slow_s: Annotated[float, Meta(ge=0.5, le=HOUR_S)] = 5.0
    temperature: bool = True
    throttling: bool = True
    clock: bool = True
    fan: bool = True
    disk: bool = True
    network: bool = True
    pss: bool = True
    power: PowerMeterName = "auto"
    idle_w: Watts = 0.0
    core_w: Watts = 0.0


class Alert(ConfigTable, frozen=True):
    """When to raise an alert; it is published once when it begins and once when it is over. Repeat the table for more.

    Attributes:
        name: how it is called in events.
        when: what is watched: "latency_p95_ms", "fps", "drop_pct", "result_age_s" or "degraded" (runs otherwise than it was
            meant to) of a pipeline; "temperature_c", "throttled", "memory_available_mb", "disk_free_mb", "power_w" or
            "inference_energy_mj" (what the device draws for each result) of the device; "label_count" and "zone_count" (how
            many are seen, in the settled answer) and "score" (the best of the last result sent) of a pipeline.
        pipeline: whose; "" is every pipeline, each by itself.
        label: for "label_count", the label that is counted; "" counts all.
        zone: for "zone_count", the zone.
        above: it begins above this value; leave it out for "throttled" and "degraded".
        below: or below this one.
        clear: it is over on the other side of this value; none takes a tenth less (or more, for `below`).
        for_s: it begins when this has been so for so long, and is over when it has not been so for as long.
        severity: "warning" or "error".
    """

    name: Name
    when: AlertKind
    pipeline: Text = ""
    label: Text = ""
    zone: Text = ""
    above: Finite | None = None
    below: Finite | None = None
    clear: Finite | None = None
    for_s: Annotated[float, Meta(ge=0, le=7 * DAY_S)] = 30.0
    severity: Literal["warning", "error"] = "warning"


class HomeAssistant(ConfigTable, frozen=True):
    """Whether Home Assistant finds this device by itself.

    Attributes:
        enabled: whether this device is announced to it over MQTT.
        form: "device" for Home Assistant 2024.11 and later, "entity" for older ones.
        prefix: its discovery prefix.
        name: how the device is called there; "" takes its id.
        area: its suggested area; "" suggests none.
        count: labels that are counted as one entity, by a name that stays when a new model's labels do not, such as
            {people = ["person", "human"]}.
    """

    enabled: bool = False
    form: Literal["device", "entity"] = "device"
    prefix: TopicPrefix = "homeassistant"
    name: Text = ""
    area: Text = ""
    count: dict[Name, tuple[Text, ...]] = msgspec.field(default_factory=dict)


class Http(ConfigTable, frozen=True):
    """Metrics for Prometheus on /metrics, and /healthz; without a login, so think before you open it to a network.

    Attributes:
        enabled: whether to listen.
        host: the address to listen on.
        port: the port to listen on.
    """

    enabled: bool = False
    host: Host = "127.0.0.1"
    port: Port = 9464
