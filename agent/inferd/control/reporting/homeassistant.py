"""Keeps Home Assistant informed of what this device has to show. It listens to what the device itself says.

What was told is remembered on the disk, for a broker keeps discovery messages: what is gone from the configuration while
the agent was off would otherwise stay in Home Assistant for good.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from inferd.config import settings
from inferd.config.mqtt import request_access
from inferd.records import Incoming, LinkEvent, Message
from inferd.system.clock import Clock
from inferd.system.files.atomic import write_atomic
from inferd.telemetry.homeassistant.discovery import messages, removals
from inferd.telemetry.homeassistant.facts import DeviceFacts
from inferd.wire import telemetry

log = logging.getLogger(__name__)

BORN = b"online"
JITTER_S = 10.0  # a fleet must not answer a server that has just started all at once
QUIET_S = 1.0  # what changes several times in a second is told once
COMMITTED = ("model.committed", "model.rolled_back")


class HomeAssistantDiscovery:
    """A `parts.Link` to nowhere that hears all messages, and a speaker of its own. Owned by control's main thread."""

    connected = True

    def __init__(
        self,
        mqtt: settings.Mqtt,
        device: str,
        memory: Path,
        clock: Clock,
        publish: Callable[[Message], None],
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Remember in the file `memory` what is told with `publish`; `jitter` gives 0..1."""
        self._said = settings.HomeAssistant()
        self._memory = memory
        self._clock = clock
        self._publish = publish
        self._jitter = jitter
        # Home Assistant cannot seal what it asks.
        self._facts = DeviceFacts(device, mqtt.prefix, access="none" if mqtt.seal_key_file else request_access(mqtt))
        self._told = _remembered(memory)
        self._due_ns: int | None = None

    def follow(self, config: settings.Config, basis: str) -> None:
        """Tell what this configuration wants told; `basis` says how power is known."""
        self._said = config.homeassistant
        names = [pipeline.name for pipeline in config.pipeline]
        tasks = {name: self._facts.tasks.get(name, ()) for name in names}
        self._facts = msgspec.structs.replace(
            self._facts,
            tasks=tasks,
            zones={one.name: tuple(zone.name for zone in one.zone) for one in config.pipeline},
            lines={one.name: tuple(line.name for line in one.line) for one in config.pipeline},
            images=frozenset(one.name for one in config.pipeline if one.image.publish != "never"),
            basis=basis,
            metered=config.metrics.metered,
        )
        self._soon()

    def heard(self, incoming: Incoming) -> None:
        """Tell everything again, after a moment, when Home Assistant says that it has started."""
        if incoming.topic == f"{self._said.prefix}/status" and incoming.payload == BORN and not incoming.retained:
            self._told = {}
            self._soon(self._jitter() * JITTER_S)

    def turn(self) -> None:
        """Tell what is due."""
        if self._due_ns is None or self._clock.monotonic_ns() < self._due_ns:
            return
        self._due_ns = None
        now = messages(self._facts, self._said) if self._said.enabled else {}
        changes = [
            *removals(self._told, now),
            *((topic, now[topic]) for topic in now if now[topic] != self._told.get(topic)),
        ]
        for topic, payload in changes:
            self._publish(Message(topic, payload, 1, retain=True, absolute=True))
        if changes:
            self._told = now
            self._remember()

    def publish(self, message: Message) -> None:
        """Take what changes the picture out of what the device says."""
        try:
            if message.topic == "info":
                self._about(msgspec.json.decode(message.payload, type=telemetry.Info))
            elif message.topic == "event":
                self._happened(msgspec.json.decode(message.payload, type=telemetry.Event))
            elif message.topic.endswith("/model") and message.payload:
                told = msgspec.json.decode(message.payload, type=telemetry.Model)
                self._model(message.topic.removesuffix("/model"), told)
        except msgspec.MsgspecError as exc:
            raise AssertionError(f"our own message to {message.topic} cannot be read: {exc}") from exc

    def dropped(self) -> int:
        """Return 0: nothing waits here."""
        return 0

    def incoming(self) -> list[Incoming]:
        """Return nothing: nobody speaks here."""
        return []

    def news(self) -> list[LinkEvent]:
        """Return nothing."""
        return []

    def close(self, timeout_s: float) -> None:
        """Nothing is open."""

    def _about(self, info: telemetry.Info) -> None:
        unavailable = frozenset(info.unavailable)
        self._change(version=info.version, board=info.board or "", os=info.os, unavailable=unavailable)

    def _model(self, pipeline: str, model: telemetry.Model) -> None:
        """Add what a model's task shows; what the one before showed stays until the new one is committed."""
        tasks = self._facts.tasks.get(pipeline)
        if tasks is not None and model.task is not None and tasks[-1:] != (model.task,):
            both = (*(task for task in tasks if task != model.task), model.task)
            self._change(tasks={**self._facts.tasks, pipeline: both})

    def _happened(self, event: telemetry.Event) -> None:
        tasks = self._facts.tasks.get(event.pipeline or "")
        if event.kind in COMMITTED and tasks is not None:
            self._change(tasks={**self._facts.tasks, str(event.pipeline): tasks[-1:]})

    def _change(self, **facts: object) -> None:
        changed = msgspec.structs.replace(self._facts, **facts)
        if changed != self._facts:
            self._facts = changed
            self._soon()

    def _soon(self, after_s: float = QUIET_S) -> None:
        due_ns = self._clock.monotonic_ns() + round(after_s * 1e9)
        self._due_ns = due_ns if self._due_ns is None else max(self._due_ns, due_ns)

    def _remember(self) -> None:
        if not self._told:
            self._memory.unlink(missing_ok=True)
            return
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(
                self._memory, msgspec.json.encode({topic: payload.decode() for topic, payload in self._told.items()})
            )
        except OSError as exc:
            log.warning(
                "homeassistant: %s cannot be written (%s); what is removed later may stay there", self._memory, exc
            )


def _remembered(memory: Path) -> dict[str, bytes]:
    """Return what was told before; nothing where there is no such file, or it is damaged."""
    try:
        return {
            topic: text.encode()
            for topic, text in msgspec.json.decode(memory.read_bytes(), type=dict[str, str]).items()
        }
    except (OSError, msgspec.MsgspecError):
        return {}
