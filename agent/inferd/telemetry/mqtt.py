"""The link to an MQTT broker. Inference never waits for it: `publish` puts a message into an outbox, a thread sends it.

publish ─▶ Outbox ─▶ owner thread: connect ─▶ retained, online ─▶ events, metrics, results ─▶ ... ─▶ offline
                          ▲                                                               │
                          └──────── pause, longer each time ◀── connection lost ──────────┘
"""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Message
from inferd.system import threads
from inferd.system.clock import Clock
from inferd.system.wakeup import Wakeup
from inferd.telemetry.backoff import Backoff
from inferd.telemetry.connection import Connection, Refused
from inferd.telemetry.outbox import Outbox
from inferd.wire import topics

ACCEPT_S = 10.0  # a broker that took the TCP connection and does not answer CONNECT is none
STEADY_S = 60.0  # a connection that lived so long starts the pauses from the beginning
IDLE_S = 1.0  # how often paho's keep-alive is looked after
GOODBYE_SHARE = 0.9  # of the time to close; the rest is for the thread to end
AT_ONCE = 64  # messages handed over before acknowledgements are read again

BACKOFF = Backoff()
OTHERS_MAY_READ = 0o004

log = logging.getLogger(__name__)


class MqttLink:
    """A `parts.Link` over MQTT 3.1.1. Starts its owner thread when made; `close` ends it.

    Attributes:
        connected: whether the broker has accepted us.
        attempts: how often a connection was tried.
    """

    def __init__(
        self, settings: Mqtt, device: str, clock: Clock, backoff: Backoff = BACKOFF, accept_s: float = ACCEPT_S
    ) -> None:
        """Start to connect; returns at once.

        Args:
            settings: where the broker is and who we are to it.
            device: this device's id.
            clock: for pauses and deadlines.
            backoff: pauses between attempts.
            accept_s: how long a broker may take to answer CONNECT.
        """
        self.connected = False
        self.attempts = 0
        self._settings = settings
        self._device = device
        self._clock = clock
        self._backoff = backoff
        self._accept_s = accept_s
        self._outbox = Outbox(settings.max_buffered)
        self._wakeup = Wakeup()
        self._closing_by_ns: int | None = None
        self._told = ""
        self._warned = False
        self._thread = threads.start("mqtt", self._run)

    def publish(self, message: Message) -> None:
        """Take a message; never waits. After `close` it is dropped and counted."""
        if self._closing_by_ns is not None:
            self._outbox.count_dropped()
            return
        self._outbox.put(message)
        if self.connected:  # set before the owner looks into the outbox, so nothing is left lying
            self._wakeup.set()

    def dropped(self) -> int:
        """Return how many messages the bound has cost since the start."""
        return self._outbox.dropped

    def close(self, timeout_s: float) -> None:
        """Send what waits, then "offline", wait for its acknowledgement, and disconnect; give up after `timeout_s`."""
        if self._closing_by_ns is None:
            self._closing_by_ns = self._clock.monotonic_ns() + round(timeout_s * GOODBYE_SHARE * 1e9)
            self._wakeup.set()
        for name in threads.join_all([self._thread], timeout_s):
            log.warning(
                "thread %s still waits for the broker's network after %.1f s; it is left behind", name, timeout_s
            )

    def _run(self) -> None:
        failures = 0
        while True:
            began_ns = self._clock.monotonic_ns()
            self.attempts += 1
            try:
                with closing(
                    Connection(self._settings, self._device, self._password(), self._status(topics.OFFLINE))
                ) as way:
                    self._serve(way)
                break
            except LinkError as fault:
                steady = self._clock.monotonic_ns() - began_ns > STEADY_S * 1e9
                failures = 1 if steady else failures + 1
                self._tell(fault)
                pause_s = self._backoff.slow_s() if isinstance(fault, Refused) else self._backoff.pause_s(failures)
            if not self._pause(pause_s):
                break
        self._wakeup.close()

    def _serve(self, way: Connection) -> None:
        """Send what there is until `close` is called.

        Raises:
            LinkError: the broker does not want us, or the connection was lost.
        """
        way.watch(self._wakeup)
        self._await_acceptance(way)
        log.info("mqtt connected: %s", way.where)
        self._told = ""
        self._outbox.resend_retained(self._status(topics.ONLINE))
        self.connected = True
        try:
            while self._closing_by_ns is None:
                way.turn(0.0 if self._hand_over(way) else IDLE_S)
            self._say_goodbye(way)
        finally:
            self.connected = False
            self._outbox.give_back(way.undelivered())

    def _await_acceptance(self, way: Connection) -> None:
        ends_ns = self._clock.monotonic_ns() + round(self._accept_s * 1e9)
        while not way.accepted:
            left_s = self._left_s(ends_ns)
            if left_s <= 0:
                raise LinkError(
                    way.where, f"it takes connections but does not answer within {self._accept_s:.0f} s; is it one?"
                )
            way.turn(left_s)

    def _hand_over(self, way: Connection) -> bool:
        """Send what may be sent now; return whether there may be more at once."""
        for _ in range(AT_ONCE):
            if not way.has_room():
                return False
            message = self._outbox.take() if way.has_window() else self._outbox.take_live()
            if message is None:
                return False
            if not way.send(message):
                self._outbox.give_back([message])
                return False
        return True

    def _say_goodbye(self, way: Connection) -> None:
        """Empty the outbox, say "offline" and leave; where time runs out, the broker says it for us."""
        if self._deliver(way) and way.send(self._status(topics.OFFLINE)) and self._deliver(way):
            way.leave()
            log.info("mqtt disconnected: %s", way.where)
        else:
            log.warning("mqtt: %s did not take everything in time; %d messages are lost", way.where, len(self._outbox))

    def _deliver(self, way: Connection) -> bool:
        """Send all that waits and hear of its arrival; False where the time to close passed first."""
        while len(self._outbox) or not way.is_delivered():
            left_s = self._left_s()
            if left_s <= 0:
                return False
            way.turn(0.0 if self._hand_over(way) else left_s)
        return True

    def _pause(self, pause_s: float) -> bool:
        """Wait; return False where the link is to close."""
        ends_ns = self._clock.monotonic_ns() + round(pause_s * 1e9)
        while self._closing_by_ns is None and (left_s := (ends_ns - self._clock.monotonic_ns()) / 1e9) > 0:
            self._wakeup.wait(left_s)
        return self._closing_by_ns is None

    def _left_s(self, ends_ns: int | None = None) -> float:
        """Return how long there is until `ends_ns`, or until the time to close, whichever is sooner."""
        ends = [moment for moment in (ends_ns, self._closing_by_ns) if moment is not None]
        return (min(ends) - self._clock.monotonic_ns()) / 1e9

    def _tell(self, fault: LinkError) -> None:
        if str(fault) != self._told and self._closing_by_ns is None:
            log.warning("mqtt: %s", fault)
        self._told = str(fault)

    def _status(self, payload: bytes) -> Message:
        return topics.STATUS.message(payload)

    def _password(self) -> str:
        """Return the password, read anew for every attempt so that mending the file is enough.

        Raises:
            LinkError: the file cannot be read.
        """
        if not self._settings.password_file:
            return ""
        path = Path(self._settings.password_file)
        try:
            password = path.read_text(encoding="utf-8").rstrip("\r\n")
            exposed = path.stat().st_mode & OTHERS_MAY_READ
        except (OSError, UnicodeDecodeError) as exc:
            raise Refused(
                "mqtt.password_file", f"{path} cannot be read ({exc}); make it a text file of inferd's own"
            ) from exc
        if exposed and not self._warned:
            self._warned = True
            log.warning("mqtt.password_file: everybody may read %s; chmod 600 it", path)
        return password
