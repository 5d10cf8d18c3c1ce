"""Where the broker is and who we are to it, which may change while the agent runs; and connections that are made so."""

from __future__ import annotations

from collections.abc import Sequence

from inferd.config.mqtt import Mqtt, reconnected
from inferd.records import Message
from inferd.system.clock import Clock
from inferd.telemetry.encryption.payload import sealer
from inferd.telemetry.mqtt.connection import Connection
from inferd.telemetry.mqtt.tls import PasswordFile


class Endpoint:
    """Any thread may say that the broker is elsewhere; one thread connects."""

    def __init__(self, settings: Mqtt, device: str, clock: Clock, listens: Sequence[str]) -> None:
        """Lead to the broker of `settings`; `listens` are the whole topics that a connection subscribes to."""
        self._settings = settings
        self._device = device
        self._clock = clock
        self._listens = listens
        self._password = PasswordFile(settings.password_file)
        self._moved = False

    def follow(self, settings: Mqtt) -> bool:
        """Take of these settings what a new connection can; return whether that makes one necessary."""
        now = reconnected(self._settings, settings)
        if now == self._settings:
            return False
        self._settings, self._password = now, PasswordFile(now.password_file)
        self._moved = True
        return True

    @property
    def moved(self) -> bool:
        """Whether the broker is elsewhere since `connect` was last called."""
        return self._moved

    def connect(self, will: Message) -> Connection:
        """Open a connection; `will` is what the broker says when it loses us.

        Raises:
            LinkError: nobody is there, or a file cannot be used.
        """
        self._moved = False  # before settings are read: what changes from now on needs another connection
        settings, seals = self._settings, sealer(self._settings.seal_key_file)
        return Connection(
            settings,
            self._device,
            self._password.read(),
            will,
            self._clock,
            self._listens,
            seals.seal if seals else None,
        )
