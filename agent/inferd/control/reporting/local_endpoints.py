"""What hears our messages beside the broker: Home Assistant's discovery, HTTP, local subscribers and `inferd status`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from inferd.config import settings
from inferd.control.reporting.homeassistant import HomeAssistantDiscovery
from inferd.control.reporting.result_stream import ResultStream
from inferd.errors import LinkError
from inferd.plugins import Link
from inferd.records import Incoming, LinkEvent, Message
from inferd.system.clock import Clock
from inferd.telemetry.prometheus.last_messages import LastMessages
from inferd.telemetry.prometheus.server import MetricsServer

log = logging.getLogger(__name__)

MEMORY = "homeassistant.json"


class LocalEndpoints:
    """Owned by control's main thread. The publisher is made with `links` and `local_links`; `open` comes after that.

    Attributes:
        results: local subscribers to results.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with everything closed."""
        self.results = ResultStream(clock)
        self._echo = LastMessages()
        self._discovery: HomeAssistantDiscovery | None = None
        self._http: MetricsServer | None = None
        self._http_config = settings.Http()

    @property
    def links(self) -> list[Link]:
        """Links that get every message that is published."""
        return [self._echo, self]

    @property
    def local_links(self) -> list[Link]:
        """Links that get results on a metered line, too: these never leave the device."""
        return [self.results]

    connected = True

    def open(
        self, mqtt: settings.Mqtt, device: str, folder: Path, clock: Clock, publish: Callable[[Message], None]
    ) -> None:
        """Prepare to publish; `folder` holds the record of what Home Assistant was told."""
        if mqtt.enabled:
            self._discovery = HomeAssistantDiscovery(mqtt, device, folder / MEMORY, clock, publish)

    def configure(self, config: settings.Config, basis: str) -> None:
        """Open and close what this configuration says; `basis` says how power is known: "measured", "estimated" or ""."""
        if self._discovery is not None:
            self._discovery.follow(config, basis)
        if config.http != self._http_config:
            self._close_http()
            self._http_config = config.http
            self._open_http()

    def handle(self, incoming: Incoming) -> None:
        """Handle a message that came over the broker."""
        if self._discovery is not None:
            self._discovery.heard(incoming)

    def turn(self) -> None:
        """Do what is due."""
        if self._discovery is not None:
            self._discovery.turn()

    def status(self) -> bytes:
        """Return what `inferd status --json` prints."""
        return msgspec.json.encode(self._echo.status())

    def publish(self, message: Message) -> None:
        """Handle a message of ours."""
        if self._discovery is not None:
            self._discovery.publish(message)

    def dropped(self) -> int:
        """Return 0: nothing waits here."""
        return 0

    def incoming(self) -> list[Incoming]:
        """Return nothing: these only listen."""
        return []

    def events(self) -> list[LinkEvent]:
        """Return nothing."""
        return []

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - there is nothing to wait for
        """Stop accepting connections. Idempotent."""
        self._close_http()

    def _open_http(self) -> None:
        if not self._http_config.enabled:
            return
        try:
            self._http = MetricsServer(self._http_config, self._echo)
        except LinkError as exc:
            log.error("%s", exc)  # noqa: TRY400 - a sentence for people; inference goes on
        else:
            log.info("http: /metrics and /healthz on %s:%d", self._http_config.host, self._http.port)

    def _close_http(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None
