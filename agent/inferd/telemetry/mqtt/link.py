"""The link to an MQTT broker. Inference never waits for it: `publish` puts a message into an outbox, a thread sends it.

publish ─▶ Outbox ─▶ owner thread: connect ─▶ retained, online ─▶ events, metrics, results ─▶ replay ─────▶ offline
   │                      ▲                                                                       │
   ▼                      └──────────── pause, longer each time ◀── connection lost ──────────────┘
 Spool: keeps on disk what must not be lost, until the broker has acknowledged it

What could not leave within FRESH_S of being published has missed its moment: it goes to `replay` in batches, behind all
that is live, so that no dashboard takes old for new.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import closing

from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Incoming, LinkEvent, Message
from inferd.system import threads
from inferd.system.clock import Clock, Jumps
from inferd.system.wakeup import Wakeup
from inferd.telemetry.connection_errors import BrokerRefused, TakenOver
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.connection import FOR_LIVE, Connection
from inferd.telemetry.mqtt.endpoint import Endpoint
from inferd.telemetry.mqtt.inbound import InboundQueue
from inferd.telemetry.outgoing.backlog import Backlog
from inferd.telemetry.outgoing.batches import Parcel, TimedMessage
from inferd.telemetry.spool.location import SpoolLocation
from inferd.wire import topics

ACCEPT_S = 10.0  # a broker that took the TCP connection and does not answer CONNECT is none
STEADY_S = 60.0  # a connection that lived so long starts the pauses from the beginning
IDLE_S = 1.0  # how often paho's keep-alive is looked after
LOOK_AT_CLOCK_S = 1.0
GOODBYE_SHARE = 0.8  # of the time to close; the rest is for the threads to end
AT_ONCE = 64  # messages handed over before acknowledgements are read again
FRESH_S = 5.0  # for so long what happened is news
LEAVE_S = 2.0  # for a broker that we leave to acknowledge that

BACKOFF = Backoff()

log = logging.getLogger(__name__)


class MqttLink:
    """A `parts.Link` over MQTT. Starts its owner thread, and one for the spool, when made; `close` ends them.

    Attributes:
        connected: whether the broker has accepted us.
        attempts: how often a connection was tried.
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
            fresh_s: how old what goes to a live topic may be.
            place: where what the broker misses is kept; None keeps it in memory only.
            listens: further whole topics to hear, beside this device's requests.
        """
        self.connected = False
        self.attempts = 0
        self._clock = clock
        self._backoff = backoff
        self._accept_s = accept_s
        self._wakeup = Wakeup()
        self._stock = Backlog(settings.max_buffered, place, clock, fresh_s, self._wakeup.set)
        info_topic = topics.full_topic(settings.prefix, device, topics.INFO.path)
        self._ear = InboundQueue(device, info_topic)
        requests = (topics.full_topic(settings.prefix, device, f"{topics.REQUEST}#"),) if settings.requests else ()
        self._route = Endpoint(settings, device, clock, (info_topic, *requests, *listens))
        self._news: deque[LinkEvent] = deque(maxlen=16)
        self._closing_by_ns: int | None = None
        self._told = ""
        self._jumps = Jumps(clock)
        self._thread = threads.start("mqtt", self._run)

    def publish(self, message: Message) -> None:
        """Take a message; never waits. After `close` it is dropped and counted."""
        if self._closing_by_ns is not None:
            self._stock.outbox.count_dropped()
            return
        if message.retain and message.topic == topics.INFO.path:
            self._ear.twins.said(message.payload)
        self._stock.put(message)
        if self.connected:  # set before the owner looks into the outbox, so nothing is left lying
            self._wakeup.set()

    def follow(self, settings: Mqtt) -> None:
        """Go where these settings say that the broker is, if that is elsewhere; never waits."""
        if self._route.follow(settings):
            self._wakeup.set()

    def dropped(self) -> int:
        """Return how many messages the bounds have cost since the start."""
        return self._stock.dropped()

    def incoming(self) -> list[Incoming]:
        """Return what was heard since the last time, oldest first."""
        return self._ear.take()

    def news(self) -> list[LinkEvent]:
        """Return what a person should hear of the link since the last time."""
        told = [self._news.popleft() for _ in range(len(self._news))]
        return [*told, *self._stock.news()]

    def close(self, timeout_s: float) -> None:
        """Send what waits, then "offline", wait for its acknowledgement, and disconnect; give up after `timeout_s`."""
        ends_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        if self._closing_by_ns is None:
            self._closing_by_ns = ends_ns - round(timeout_s * (1 - GOODBYE_SHARE) * 1e9)
            self._wakeup.set()
        for name in threads.join_all([self._thread], timeout_s):
            log.warning(
                "thread %s still waits for the broker's network after %.1f s; it is left behind", name, timeout_s
            )
        self._stock.close(max(timeout_s * (1 - GOODBYE_SHARE), (ends_ns - self._clock.monotonic_ns()) / 1e9))

    def _run(self) -> None:
        failures = 0
        while True:
            began_ns = self._clock.monotonic_ns()
            self._jumps.look()
            self.attempts += 1
            try:
                with closing(self._route.connect(self._status(topics.OFFLINE))) as way:
                    self._serve(way)
                if self._closing_by_ns is not None:
                    break
                failures, pause_s = 0, 0.0
            except LinkError as fault:
                steady = self._clock.monotonic_ns() - began_ns > STEADY_S * 1e9
                failures = 1 if steady else failures + 1
                self._tell(fault)
                pause_s = (
                    self._backoff.slow_s() if isinstance(fault, BrokerRefused) else self._backoff.pause_s(failures)
                )
            if not self._pause(pause_s):
                break
        self._wakeup.close()

    def _serve(self, way: Connection) -> None:
        """Send what there is until `close` is called, or the broker is elsewhere.

        Raises:
            LinkError: the broker does not want us, or the connection was lost.
        """
        self._ear.twins.at(way.where)
        way.watch(self._wakeup)
        self._await_acceptance(way)
        log.info("mqtt connected: %s", way.where)
        self._told = ""
        self._stock.outbox.resend_retained(self._status(topics.ONLINE))
        self.connected = True
        try:
            while self._closing_by_ns is None and not self._route.moved:
                self._turn(way, 0.0 if self._hand_over(way) else IDLE_S)
            if self._closing_by_ns is None:
                self._leave_for_another(way)
            else:
                self._say_goodbye(way)
        finally:
            self.connected = False
            self._count_delivered(way)
            self._stock.lost(way.undelivered())

    def _await_acceptance(self, way: Connection) -> None:
        ends_ns = self._clock.monotonic_ns() + round(self._accept_s * 1e9)
        while not way.accepted:
            left_s = self._left_s(ends_ns)
            if left_s <= 0:
                raise LinkError(
                    way.where, f"it takes connections but does not answer within {self._accept_s:.0f} s; is it one?"
                )
            way.turn(left_s)

    def _turn(self, way: Connection, timeout_s: float) -> None:
        try:
            way.turn(timeout_s)
        finally:
            self._listen(way)

    def _listen(self, way: Connection) -> None:
        """Take what a turn brought. What was heard comes first: our last start's `info` may lie before the PUBACK of ours."""
        try:
            self._ear.hear(way)
        finally:
            self._count_delivered(way)

    def _count_delivered(self, way: Connection) -> None:
        self._stock.outbox.count_dropped(way.turned_away)
        acknowledged, way.acknowledged, way.turned_away = way.acknowledged, [], 0
        for one in acknowledged:
            self._stock.delivered(one)
            if isinstance(one, TimedMessage) and one.message.retain and one.message.topic == topics.INFO.path:
                self._ear.twins.arrived()

    def _hand_over(self, way: Connection) -> bool:
        """Send what may be sent now; return whether there may be more at once."""
        for _ in range(AT_ONCE):
            if not way.has_room():
                return False
            parcel = self._next(way)
            if parcel is None:
                return False
            if not way.send(parcel):
                self._stock.outbox.give_back([parcel])
                return False
        return True

    def _next(self, way: Connection) -> Parcel | None:
        """Return what leaves next: what is live, then what was missed."""
        live = self._stock.next_live(window=way.has_window())
        if live is not None or not way.has_window(FOR_LIVE):
            return live
        return self._stock.next_missed(way.undelivered(), way.hold)

    def _say_goodbye(self, way: Connection) -> None:
        """Empty the outbox, say "offline" and leave; where time runs out, the broker says it for us."""
        if self._deliver(way) and way.send(TimedMessage(self._status(topics.OFFLINE))) and self._deliver(way):
            way.leave()
            log.info("mqtt disconnected: %s", way.where)
        else:
            log.warning(
                "mqtt: %s did not take everything in time; %d messages waited", way.where, len(self._stock.outbox)
            )

    def _leave_for_another(self, way: Connection) -> None:
        """Say "offline" and leave; what waits is for the next broker."""
        ends_ns = self._clock.monotonic_ns() + round(LEAVE_S * 1e9)
        way.send(TimedMessage(self._status(topics.OFFLINE)))
        while not way.is_delivered() and (left_s := self._left_s(ends_ns)) > 0:
            self._turn(way, left_s)
        way.leave()
        log.info("mqtt disconnected: %s; the configuration names another way to the broker", way.where)

    def _deliver(self, way: Connection) -> bool:
        """Send all that waits and hear of its arrival; False where the time to close passed first."""
        while len(self._stock.outbox) or not way.is_delivered():
            left_s = self._left_s()
            if left_s <= 0:
                return False
            self._turn(way, 0.0 if self._hand_over(way) else left_s)
        return True

    def _pause(self, pause_s: float) -> bool:
        """Wait, until the clock is set at most: a certificate may hold then. Return False where the link is to close."""
        ends_ns = self._clock.monotonic_ns() + round(pause_s * 1e9)
        while (
            self._closing_by_ns is None
            and not self._route.moved
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

    def _tell(self, fault: LinkError) -> None:
        why = str(fault)
        if isinstance(fault, TakenOver):
            why += "; give each device an id of its own (`device` at the top of the configuration)"
        if why != self._told and self._closing_by_ns is None:
            log.warning("mqtt: %s", why)
            if isinstance(fault, TakenOver):
                self._news.append(LinkEvent("link.twin", why))
        self._told = why

    def _status(self, payload: bytes) -> Message:
        return topics.STATUS.message(payload)
