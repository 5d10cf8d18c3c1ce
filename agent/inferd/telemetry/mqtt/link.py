"""The link to an MQTT broker. Inference never waits for it: `publish` queues a message, a thread sends it.

publish ─▶ Outbox ─▶ thread "mqtt": connect ─▶ retained, online ─▶ events, metrics, results ─▶ replay ─▶ offline
   │                      ▲                                                                       │
   ▼                      └──────────── pause, longer each time ◀── connection lost ──────────────┘
 Spool: keeps on disk what must not be lost, until the broker has acknowledged it

A message that could not be sent within FRESH_S of being published is missed: it goes to `replay` in a batch, after all live
messages, so that no dashboard takes old values for new ones.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import closing

from inferd.config.mqtt import request_access
from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Incoming, LinkEvent, LinkEventKind, Message
from inferd.system import threads
from inferd.system.clock import Clock, Jumps
from inferd.system.wakeup import Wakeup
from inferd.telemetry.connection_errors import BrokerRefused, ConnectionEnded, TakenOver
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.broker_limits import BrokerLimits
from inferd.telemetry.mqtt.connection import FOR_LIVE, Connection
from inferd.telemetry.mqtt.endpoint import Endpoint
from inferd.telemetry.mqtt.inbound import InboundQueue
from inferd.telemetry.outgoing.backlog import Backlog
from inferd.telemetry.outgoing.batches import Parcel, TimedMessage
from inferd.telemetry.spool.spool import SpoolLocation
from inferd.wire import topics

ACCEPT_S = 10.0  # a broker that accepts the TCP connection and does not answer CONNECT within it is none
SUBSCRIBE_S = 5.0  # SUBACKs are waited for; after it, messages are sent without
STEADY_S = 60.0  # a connection that lived so long starts the pauses from the beginning
ECHO_S = 10.0  # our own `info` comes back within it where the ACL allows that
IDLE_S = 1.0  # how often paho's keep-alive is checked
LOOK_AT_CLOCK_S = 1.0
GOODBYE_SHARE = 0.8  # of the time to close; the rest is for the threads to end
AT_ONCE = 64  # messages sent before acknowledgements are read again
FRESH_S = 5.0  # up to this age a message goes to its live topic
LEAVE_S = 2.0  # for a broker that we leave to acknowledge "offline"
MAX_REPORTED = 64  # different faults, complaints and duplicates that are remembered

BACKOFF = Backoff()

log = logging.getLogger(__name__)


class MqttLink:
    """A `plugins.Link` over MQTT. It starts its thread, and one for the spool, when made; `close` ends them.

    Attributes:
        connected: whether the broker has accepted us.
        attempts: how often a connection was tried.
        unreadable: packets that came and could not be read, or were too many.
    """

    def __init__(
        self,
        settings: Mqtt,
        device: str,
        clock: Clock,
        backoff: Backoff = BACKOFF,
        *,
        accept_s: float = ACCEPT_S,
        fresh_s: float = FRESH_S,
        echo_s: float = ECHO_S,
        place: SpoolLocation | None = None,
        listens: Sequence[str] = (),
    ) -> None:
        """Start to connect; returns at once.

        Args:
            settings: where the broker is and who we are to it.
            device: this device's id.
            clock: for pauses and deadlines.
            backoff: pauses between attempts.
            accept_s: how long a broker may take to answer CONNECT.
            fresh_s: up to this age a message goes to its live topic.
            echo_s: within this time our own `info` comes back where the ACL allows that.
            place: of the spool for missed messages; None keeps them in memory only.
            listens: further full topics to subscribe to, beside this device's requests.
        """
        self.connected = False
        self.attempts = 0
        self.unreadable = 0
        self._device = device
        self._clock = clock
        self._backoff = backoff
        self._accept_s = accept_s
        self._echo_s = echo_s
        self._wakeup = Wakeup()
        self._backlog = Backlog(settings.max_buffered, place, clock, fresh_s, self._wakeup.set)
        self._info_topic = topics.full_topic(settings.prefix, device, topics.INFO.path)
        requests_topic = topics.full_topic(settings.prefix, device, topics.REQUEST)
        requests = (f"{requests_topic}#",) if request_access(settings) != "none" else ()
        self._inbound = InboundQueue(self._info_topic, "\0" if requests else requests_topic)  # no topic has a NUL
        self._endpoint = Endpoint(settings, device, clock, (self._info_topic, *requests, *listens))
        self._limits = BrokerLimits(clock)
        self._events: deque[LinkEvent] = deque(maxlen=16)
        self._closing_by_ns: int | None = None
        self._faults: Counter[str] = Counter()
        self._endings = 0  # how often connections have ended in the same way of late
        self._reported: set[str] = set()
        self._info_acknowledged_ns = 0
        self._jumps = Jumps(clock)
        self._thread = threads.start("mqtt", self._run)

    def publish(self, message: Message) -> None:
        """Queue a message; never waits. After `close` it is dropped and counted."""
        if self._closing_by_ns is not None:
            self._backlog.outbox.count_dropped()
            return
        if message.retain and message.topic == topics.INFO.path:
            self._inbound.duplicates.sent(message.payload)
        self._backlog.put(message)
        if self.connected:  # set before the thread looks into the outbox, so no message is left waiting
            self._wakeup.set()

    def reconfigure(self, settings: Mqtt) -> None:
        """Reconnect with these settings if a connection depends on what changed; never waits."""
        if self._endpoint.reconfigure(settings):
            self._wakeup.set()

    def dropped(self) -> int:
        """Return how many messages the bounds have cost since the start."""
        return self._backlog.dropped()

    def incoming(self) -> list[Incoming]:
        """Return the messages received since the last call, oldest first."""
        return self._inbound.pop_all()

    def events(self) -> list[LinkEvent]:
        """Return the link's events since the last call."""
        return [*(self._events.popleft() for _ in range(len(self._events))), *self._backlog.events()]

    def close(self, timeout_s: float) -> None:
        """Send what waits, then "offline", wait for its acknowledgement, and disconnect; give up after `timeout_s`."""
        ends_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        if self._closing_by_ns is None:
            self._closing_by_ns = ends_ns - round(timeout_s * (1 - GOODBYE_SHARE) * 1e9)
            self._wakeup.set()
        for name in threads.join_all([self._thread], timeout_s):
            log.warning("thread %s still waits for the broker's network after %.1f s; abandoned", name, timeout_s)
        self._backlog.close(max(timeout_s * (1 - GOODBYE_SHARE), (ends_ns - self._clock.monotonic_ns()) / 1e9))

    def _run(self) -> None:
        failures = 0
        while True:
            began_ns = self._clock.monotonic_ns()
            self._jumps.look()
            self.attempts += 1
            if self._endpoint.moved:
                self._limits = BrokerLimits(self._clock)
            self._limits.expire()
            try:
                with closing(self._endpoint.connect(self._status(topics.OFFLINE), self._limits)) as connection:
                    self._serve(connection)
                if self._closing_by_ns is not None:
                    break
                failures, pause_s = 0, 0.0
            except LinkError as fault:
                steady = self._clock.monotonic_ns() - began_ns > STEADY_S * 1e9
                if steady:
                    self._faults.clear()
                    self._endings = 0
                failures = 1 if self._learn(fault) or steady else failures + 1
                self._report(fault)
                pause_s = (
                    self._backoff.slow_s() if isinstance(fault, BrokerRefused) else self._backoff.pause_s(failures)
                )
            if not self._pause(pause_s):
                break
        self._wakeup.close()

    def _serve(self, connection: Connection) -> None:
        """Send messages until `close` is called, or another connection is needed.

        Raises:
            LinkError: the broker refuses us, or the connection was lost.
        """
        self._inbound.duplicates.connected_to(connection.address)
        connection.watch(self._wakeup)
        self._await_answers(connection)
        if not self._limits.accepted():
            connection.disconnect()
            return
        if not self._endings or is_power_of_two(self._endings):
            log.info("mqtt connected: %s", connection.address)
        self._backlog.outbox.resend_retained(self._status(topics.ONLINE))
        self.connected = True
        try:
            while self._closing_by_ns is None and not self._endpoint.moved:
                self._turn(connection, 0.0 if self._send_some(connection) else IDLE_S)
            if self._closing_by_ns is None:
                self._leave_for_another(connection)
            else:
                self._say_goodbye(connection)
        finally:
            self.connected = False
            self._count_delivered(connection)
            self._backlog.lost(connection.undelivered())

    def _await_answers(self, connection: Connection) -> None:
        """Wait for CONNACK and SUBACKs."""
        ends_ns = self._clock.monotonic_ns() + round(self._accept_s * 1e9)
        while not connection.accepted:
            if (left_s := self._left_s(ends_ns)) <= 0:
                why = f"it accepts connections but does not answer within {self._accept_s:.0f} s; is it a broker?"
                raise LinkError(connection.address, why)
            connection.turn(left_s)
        ends_ns = self._clock.monotonic_ns() + round(SUBSCRIBE_S * 1e9)
        while not connection.subscribed and (left_s := self._left_s(ends_ns)) > 0:
            self._turn(connection, left_s)

    def _turn(self, connection: Connection, timeout_s: float) -> None:
        try:
            connection.turn(timeout_s)
        finally:
            # Received first: the `info` of our earlier start may come before the PUBACK of ours.
            self._inbound.receive(connection)
            self._count_delivered(connection)
            self._report_complaints(connection)

    def _count_delivered(self, connection: Connection) -> None:
        rejected, connection.rejected = connection.rejected, 0
        acknowledged, connection.acknowledged = connection.acknowledged, []
        self.unreadable, connection.unreadable = self.unreadable + connection.unreadable, 0
        self._backlog.outbox.count_dropped(rejected)
        for one in acknowledged:
            self._backlog.delivered(one)
            if isinstance(one, TimedMessage) and one.message.retain and one.message.topic == topics.INFO.path:
                if not rejected:
                    self._inbound.duplicates.acknowledged()
                self._info_acknowledged_ns = self._clock.monotonic_ns()

    def _send_some(self, connection: Connection) -> bool:
        """Send what may be sent now; return whether there may be more at once."""
        for _ in range(AT_ONCE):
            if not connection.has_room():
                return False
            parcel = self._next(connection)
            if parcel is None:
                return False
            if not connection.send(parcel):
                self._backlog.outbox.give_back([parcel])
                return False
        return True

    def _next(self, connection: Connection) -> Parcel | None:
        """Return what to send next: live messages, then missed ones."""
        live = self._backlog.next_live(window=connection.has_window())
        if live is not None or not connection.has_window(FOR_LIVE):
            return live
        return self._backlog.next_missed(connection.undelivered(), connection.bounds)

    def _say_goodbye(self, connection: Connection) -> None:
        """Empty the outbox, publish "offline" and disconnect; if time runs out, the broker publishes the will."""
        offline = TimedMessage(self._status(topics.OFFLINE))
        if self._deliver(connection) and connection.send(offline) and self._deliver(connection):
            connection.disconnect()
            log.info("mqtt disconnected: %s", connection.address)
        else:
            waiting = len(self._backlog.outbox)
            log.warning("mqtt: %s did not accept everything in time; %d messages waited", connection.address, waiting)

    def _leave_for_another(self, connection: Connection) -> None:
        """Publish "offline" and disconnect; messages that wait are for the next broker."""
        ends_ns = self._clock.monotonic_ns() + round(LEAVE_S * 1e9)
        connection.send(TimedMessage(self._status(topics.OFFLINE)))
        while not connection.is_delivered() and (left_s := self._left_s(ends_ns)) > 0:
            self._turn(connection, left_s)
        connection.disconnect()
        log.info("mqtt disconnected: %s; the configuration has changed", connection.address)

    def _deliver(self, connection: Connection) -> bool:
        """Send all that waits until it is acknowledged; False where the time to close passed first."""
        while len(self._backlog.outbox) or not connection.is_delivered():
            left_s = self._left_s()
            if left_s <= 0:
                return False
            self._turn(connection, 0.0 if self._send_some(connection) else min(left_s, IDLE_S))
        return True

    def _pause(self, pause_s: float) -> bool:
        """Wait, until the clock is set at most: a certificate may be valid then. Return False where the link is to close."""
        ends_ns = self._clock.monotonic_ns() + round(pause_s * 1e9)
        while (
            self._closing_by_ns is None
            and not self._endpoint.moved
            and (left_s := (ends_ns - self._clock.monotonic_ns()) / 1e9) > 0
        ):
            if self._jumps.look():
                break
            self._wakeup.wait(min(left_s, LOOK_AT_CLOCK_S))
        return self._closing_by_ns is None

    def _left_s(self, ends_ns: int | None = None) -> float:
        """Return how long there is until `ends_ns`, or until the time to close, whichever is sooner."""
        ends = [moment for moment in (ends_ns, self._closing_by_ns) if moment is not None]
        return (min(ends) - self._clock.monotonic_ns()) / 1e9

    def _learn(self, fault: LinkError) -> bool:
        """Adapt to what a broker ends connections over; return whether anything was learned."""
        if not isinstance(fault, ConnectionEnded) or not (learned := self._limits.lost(fault.loss)):
            return False
        self._warn("link.limited", f"{fault.part}: {learned}")
        return True

    def _report(self, fault: LinkError) -> None:
        """Log a fault once; a connection that is ended again and again at the 1st, 2nd, 4th, 8th ... time."""
        if self._closing_by_ns is not None:
            return
        why = str(fault)
        if why not in self._faults and len(self._faults) >= MAX_REPORTED:
            self._faults.clear()
        self._faults[why] += 1
        times = self._faults[why]
        if isinstance(fault, ConnectionEnded):
            self._endings = max(self._endings, times)
        if times == 1:
            log.warning("mqtt: %s", why)
        elif isinstance(fault, ConnectionEnded) and is_power_of_two(times):
            log.warning("mqtt: %s (%d times)", why, times)
        self._report_duplicate(fault)

    def _report_duplicate(self, fault: LinkError) -> None:
        duplicates = self._inbound.duplicates
        taken_over = isinstance(fault, TakenOver)
        if not taken_over and not (isinstance(fault, ConnectionEnded) and duplicates.foreign):
            return
        whose = f" (boot id {duplicates.foreign})" if duplicates.foreign else ""
        self._warn(
            "link.twin",
            f"{fault.part}: another device{whose} says it is {self._device!r} too, and the broker ended our connection for it;"
            " give each device an id of its own (`device` at the top of the configuration)",
        )
        duplicates.foreign = ""

    def _report_complaints(self, connection: Connection) -> None:
        for complaint in connection.complaints:
            self._warn("link.denied", f"{connection.address}: {complaint}")
        connection.complaints.clear()
        waited_ns = self._clock.monotonic_ns() - self._info_acknowledged_ns
        if self._inbound.duplicates.awaits_echo and self._info_acknowledged_ns and waited_ns > self._echo_s * 1e9:
            self._info_acknowledged_ns = 0
            why = f"our own {self._info_topic} does not come back: its ACL denies publishing or reading it, without an error"
            self._warn("link.denied", f"{connection.address}: {why}")

    def _warn(self, kind: LinkEventKind, why: str) -> None:
        """Log a warning and make an event of it, once."""
        if why in self._reported or len(self._reported) >= MAX_REPORTED:
            return
        self._reported.add(why)
        log.warning("mqtt: %s", why)
        self._events.append(LinkEvent(kind, why))

    def _status(self, payload: bytes) -> Message:
        return topics.STATUS.message(payload)


def is_power_of_two(count: int) -> bool:
    """Whether a count is 1, 2, 4, 8 ..."""
    return count & (count - 1) == 0
