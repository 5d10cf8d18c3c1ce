"""Judges settings that can be read and have no effect here: alerts that nothing measures, threads without cores, and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inferd.doctor.check import Check, Problem
from inferd.doctor.readers.world import World
from inferd.meters.background import DirectReader
from inferd.meters.device_meters import DeviceMeter

# Alerts that are named otherwise than the metric they watch.
MEASURED_AS = {"throttled": "throttled_s", "inference_energy_mj": "power_w"}
OPEN_FILES = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)
OPEN_FILES_MIN = 256  # distributions allow 1,024; less was set by hand
CORES = re.compile(r"^processor\s*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """What is configured, beside what the device has.

    Attributes:
        file: the configuration.
        unmeasured: alert → (what it watches, why this device does not measure it).
        threads: pipeline → threads of its engine.
        cores: of this device; 0 where it is not known.
        discovery_without_mqtt: whether Home Assistant is to be told, with MQTT off.
        open_files: how many files a process may have open; 0 where it is not known.
    """

    file: str
    unmeasured: dict[str, tuple[str, str]]
    threads: dict[str, int]
    cores: int
    discovery_without_mqtt: bool
    open_files: int


def read_settings(world: World) -> SettingsFacts:
    """Compare settings with the device."""
    config = world.configured
    limit = OPEN_FILES.search(world.read("/proc/self/limits") or "")
    return SettingsFacts(
        file=world.config_file,
        unmeasured=_unmeasured(world),
        threads={one.name: one.engine.threads for one in world.pipelines},
        cores=len(CORES.findall(world.read("/proc/cpuinfo") or "")),
        discovery_without_mqtt=config.homeassistant.enabled and not config.mqtt.enabled,
        open_files=int(limit[1]) if limit else 0,
    )


def judge_alerts(facts: SettingsFacts) -> Iterator[Problem]:
    """Yield a warning for each alert that can never be raised."""
    for name, (when, why) in facts.unmeasured.items():
        fact = f"alert {name!r} watches {when}, which this device does not measure ({why})"
        yield Problem(fact, facts.file, f"remove the alert {name!r} from {facts.file}", "warning")


def judge_threads(facts: SettingsFacts) -> Iterator[Problem]:
    """Yield a warning for each engine with more threads than there are cores."""
    for pipeline, threads in facts.threads.items():
        if facts.cores and threads > facts.cores:
            fact = f"pipeline {pipeline} runs its engine with {threads} threads on {facts.cores} cores"
            yield Problem(fact, facts.file, f"set engine.threads to {facts.cores} or less in {facts.file}", "warning")


def judge_discovery(facts: SettingsFacts) -> Iterator[Problem]:
    """Yield a warning where Home Assistant is to find the device, but MQTT is off."""
    if facts.discovery_without_mqtt:
        mend = f"set enabled = true under [mqtt] in {facts.file}, or false under [homeassistant]"
        yield Problem("Home Assistant finds the device over MQTT, which is off", facts.file, mend, "warning")


def judge_open_files(facts: SettingsFacts) -> Iterator[Problem]:
    """Yield a fault where a process may open too few files for cameras, models and connections."""
    if 0 < facts.open_files < OPEN_FILES_MIN:
        fact = f"a process may have only {facts.open_files} files open"
        yield Problem(fact, "ulimit -n", f"ulimit -n {OPEN_FILES_MIN * 4}")


def _unmeasured(world: World) -> dict[str, tuple[str, str]]:
    alerts = world.configured.alert
    if not alerts:
        return {}
    meter = DeviceMeter(world.clock, world.configured.metrics, world.root, world.root, DirectReader)
    try:
        whys = meter.unavailable()
    finally:
        meter.close()
    lacking = {alert: whys.get(MEASURED_AS.get(alert.when, alert.when)) for alert in alerts}
    return {alert.name: (alert.when, why.why) for alert, why in lacking.items() if why is not None}


CHECKS = (
    Check(
        "config.alert",
        "whether this device measures what each alert watches",
        "an alert on a value that is never known is never raised",
        judge_alerts,
        (read_settings,),
    ),
    Check(
        "config.threads",
        "whether engines have no more threads than there are cores",
        "threads without a core of their own make each inference slower",
        judge_threads,
        (read_settings,),
    ),
    Check(
        "config.discovery",
        "whether MQTT is on where Home Assistant is to find the device",
        "discovery messages travel over MQTT",
        judge_discovery,
        (read_settings,),
    ),
    Check(
        "system.open-files",
        "whether a process may have enough files open",
        "cameras, models and connections are open files; beyond the limit each of them fails by chance",
        judge_open_files,
        (read_settings,),
    ),
)
