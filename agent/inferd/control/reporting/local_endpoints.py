"""The ways to the device beside the broker: Home Assistant's discovery, HTTP, and what commands on the device ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.control.reporting.homeassistant import HomeAssistantDiscovery
from inferd.errors import LinkError
from inferd.plugins import Link
from inferd.records import Incoming, LinkEvent, Message
from inferd.system.clock import Clock
from inferd.telemetry.prometheus.last_messages import LastMessages
from inferd.telemetry.prometheus.server import HttpDoor

log = logging.getLogger(__name__)

MEMORY = "homeassistant.json"


class LocalEndpoints:
    """Owned by control's main thread. `links` are for the announcer; `open` comes after it exists."""

    def __init__(self) -> None:
        self._echo = LastMessages()
        self._discovery: HomeAssistantDiscovery | None = None
        self._http: HttpDoor | None = None
        self._said = settings.Http()

    @property
    def links(self) -> list[Link]:
        """What has to hear everything that the device says."""
        return [self._echo, self]

    connected = True

    def open(
        self, mqtt: settings.Mqtt, device: str, folder: Path, clock: Clock, publish: Callable[[Message], None]
    ) -> None:
        """Be able to speak: `folder` is where is remembered what Home Assistant was told."""
        if mqtt.enabled:
            self._discovery = HomeAssistantDiscovery(mqtt, device, folder / MEMORY, clock, publish)

    def follow(self, config: settings.Config, basis: str) -> None:
        """Open and close what this configuration says; `basis` says how power is known: "measured", "estimated" or ""."""
        if self._discovery is not None:
            self._discovery.follow(config, basis)
        if config.http != self._said:
            self._close_http()
            self._said = config.http
            self._open_http()

    def heard(self, incoming: Incoming) -> None:
        """Take what came over the broker."""
        if self._discovery is not None:
            self._discovery.heard(incoming)

    def turn(self) -> None:
        """Do what is due."""
        if self._discovery is not None:
            self._discovery.turn()

    def status(self) -> ipc.ModelsAnswer:
        """Return what `inferd status` asks for."""
        return ipc.ModelsAnswer(msgspec.json.encode(self._echo.status()).decode())

    def publish(self, message: Message) -> None:
        """Take a message of ours."""
        if self._discovery is not None:
            self._discovery.publish(message)

    def dropped(self) -> int:
        """Return 0: nothing waits here."""
        return 0

    def incoming(self) -> list[Incoming]:
        """Return nothing: nobody speaks here."""
        return []

    def events(self) -> list[LinkEvent]:
        """Return nothing."""
        return []

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - there is nothing to wait for
        """Let nobody in any more. Twice is fine."""
        self._close_http()

    def _open_http(self) -> None:
        if not self._said.enabled:
            return
        try:
            self._http = HttpDoor(self._said, self._echo)
        except LinkError as exc:
            log.error("%s", exc)  # noqa: TRY400 - a sentence for people; inference goes on
        else:
            log.info("http: /metrics and /healthz on %s:%d", self._said.host, self._http.port)

    def _close_http(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None
