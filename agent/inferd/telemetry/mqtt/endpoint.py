"""Where the broker is and who we are to it, which may change while the agent runs; opens connections accordingly."""

from __future__ import annotations

from collections.abc import Sequence

from inferd.config.mqtt import Mqtt, reconnected
from inferd.records import Message
from inferd.system.clock import Clock
from inferd.telemetry.encryption.payload import sealer
from inferd.telemetry.mqtt.broker_limits import BrokerLimits
from inferd.telemetry.mqtt.connection import Connection
from inferd.telemetry.mqtt.tls import PasswordFile
from inferd.wire.topics import client_id


class Endpoint:
    """Any thread may reconfigure it; one thread connects."""

    def __init__(self, settings: Mqtt, device: str, clock: Clock, subscriptions: Sequence[str]) -> None:
        """Use the broker of `settings`; every connection subscribes to the full topics in `subscriptions`."""
        self._settings = settings
        self._device = device
        self._clock = clock
        self._subscriptions = subscriptions
        self._password = PasswordFile(settings.password_file)
        self._moved = False

    def reconfigure(self, settings: Mqtt) -> bool:
        """Use the keys of these settings that a new connection can change; return whether one is needed."""
        now = reconnected(self._settings, settings)
        if now == self._settings:
            return False
        self._settings, self._password = now, PasswordFile(now.password_file)
        self._moved = True
        return True

    @property
    def moved(self) -> bool:
        """Whether the settings have changed since `connect` was last called."""
        return self._moved

    def connect(self, will: Message, limits: BrokerLimits) -> Connection:
        """Open a connection; the broker publishes `will` when it loses us.

        Raises:
            LinkError: nothing answers, or a file cannot be used.
        """
        self._moved = False  # before settings are read: what changes from now on needs another connection
        settings, cipher = self._settings, sealer(self._settings.seal_key_file)
        return Connection(
            settings,
            self._device,
            self._password.read(),
            will,
            self._clock,
            self._subscriptions,
            cipher.seal if cipher else None,
            client_id=settings.client_id or client_id(settings.prefix, self._device),
            limits=limits,
        )
