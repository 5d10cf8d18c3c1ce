"""What waits for the broker, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from inferd.records import Message
from inferd.system.threads import Lock
from inferd.telemetry.outgoing.batches import Batch, BatchBounds, Parcel, TimedMessage, together

MAX_LASTING = 256  # events and metrics (qos 1); at 20 kB each that is 5 MB in the worst case
MAX_RETAINED = 512  # topics; a device has two and three for each pipeline


class Outbox:
    """Messages in the order in which they leave: retained, lasting (qos 1), live (qos 0), missed. Any thread may call it.

    Of a retained topic only the newest message waits, for nobody wants an older one. All of them are kept after they
    have left, to be sent again on the next connect. Of the others the oldest are dropped, and counted, unless the spool
    has them.
    """

    def __init__(self, max_live: int) -> None:
        """Make an empty outbox that keeps at most `max_live` messages of qos 0."""
        self.dropped = 0
        self._lock = Lock()
        self._retained: dict[str, Message] = {}
        self._changed: dict[str, Message] = {}
        self._lasting: deque[TimedMessage] = deque()
        self._live: deque[TimedMessage] = deque()
        self._late: deque[Message] = deque()
        self._max_live = max_live

    def __len__(self) -> int:
        return len(self._changed) + len(self._lasting) + len(self._live) + len(self._late)

    def put(self, message: Message, number: int = 0, now_ns: int = 0) -> None:
        """Take a message; drop the oldest of its kind where there are too many."""
        with self._lock:
            if message.retain:
                self._retained[message.topic] = message
                self._changed[message.topic] = message
                self._forget_oldest_topic()
            elif message.qos:
                self._lasting.append(TimedMessage(message, number, now_ns))
                self._trim()
            else:
                self._live.append(TimedMessage(message, number, now_ns))
                self._trim()

    def pop(self) -> TimedMessage | None:
        """Return the next message to send; None where nothing waits that is still of its moment."""
        with self._lock:
            if self._changed:
                return TimedMessage(self._changed.pop(next(iter(self._changed))))
            if self._lasting:
                return self._lasting.popleft()
            return self._live.popleft() if self._live else None

    def pop_live(self) -> TimedMessage | None:
        """Return the next message that wants no acknowledgement; None where none waits."""
        with self._lock:
            return self._live.popleft() if self._live else None

    def pop_missed(self, bounds: BatchBounds) -> Batch | None:
        """Return what leaves next of what was missed, as much as `bounds` takes; None where nothing waits."""
        with self._lock:
            missed = together(lambda fits: late.popleft() if (late := self._late) and fits(late[0]) else None, bounds)
        return Batch(tuple(missed)) if missed else None

    def age(self, before_ns: int) -> None:
        """Count what was published before as missed; what the spool has is left to it."""
        with self._lock:
            while self._lasting and self._lasting[0].since_ns < before_ns and self._lasting[0].message.lane:
                self._miss(self._lasting.popleft())
            while self._live and self._live[0].since_ns < before_ns:
                self._miss(self._live.popleft())

    def oldest_kept(self) -> int | None:
        """Return the lowest number of a record that waits here as well as in the spool; None where none does."""
        with self._lock:
            return min((one.number for one in self._lasting if one.number), default=None)

    def give_back(self, parcels: Iterable[Parcel]) -> None:
        """Take again what was lost on its way, oldest first; what is retained or in the spool is sent again anyway."""
        with self._lock:
            for one in reversed(list(parcels)):
                if isinstance(one, Batch):
                    self._late.extendleft(reversed(one.messages if not one.numbers else ()))
                elif not one.message.retain:
                    (self._lasting if one.message.qos else self._live).appendleft(one)
            self._trim()

    def resend_retained(self, last: Message) -> None:
        """Have the newest message of every retained topic leave (again), and `last` behind them."""
        with self._lock:
            self._changed = {**self._retained, last.topic: last}

    def count_dropped(self, messages: int = 1) -> None:
        """Count what nobody will send any more."""
        with self._lock:
            self.dropped += messages

    def _miss(self, one: TimedMessage) -> None:
        if not one.number:
            self._late.append(one.message)
            self._trim()

    def _forget_oldest_topic(self) -> None:
        if len(self._retained) > MAX_RETAINED:
            oldest = next(iter(self._retained))
            del self._retained[oldest]
            self._changed.pop(oldest, None)
            self.dropped += 1

    def _trim(self) -> None:
        while len(self._lasting) > MAX_LASTING:
            self.dropped += not self._lasting.popleft().number
        for waiting in (self._live, self._late):
            while len(waiting) > self._max_live:
                waiting.popleft()
                self.dropped += 1
