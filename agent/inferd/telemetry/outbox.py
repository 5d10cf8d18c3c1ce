"""What waits for the broker, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from inferd.records import Message
from inferd.system.threads import Lock

MAX_LASTING = 256  # events and metrics (qos 1); at 20 kB each that is 5 MB in the worst case
MAX_RETAINED = 512  # topics; a device has two and three for each pipeline


class Outbox:
    """Messages in the order in which they leave: retained, lasting (qos 1), live (qos 0). Any thread may call it.

    Of a retained topic only the newest message waits, for nobody wants an older one. All of them are kept after they
    have left, to be sent again on the next connect. Of the others the oldest are dropped, and counted.
    """

    def __init__(self, max_live: int) -> None:
        """Make an empty outbox that keeps at most `max_live` messages of qos 0."""
        self.dropped = 0
        self._lock = Lock()
        self._retained: dict[str, Message] = {}
        self._changed: dict[str, Message] = {}
        self._lasting: deque[Message] = deque()
        self._live: deque[Message] = deque()
        self._max_live = max_live

    def __len__(self) -> int:
        return len(self._changed) + len(self._lasting) + len(self._live)

    def put(self, message: Message) -> None:
        """Take a message; drop the oldest of its kind where there are too many."""
        with self._lock:
            if message.retain:
                self._retained[message.topic] = message
                self._changed[message.topic] = message
                self._forget_oldest_topic()
            elif message.qos:
                self._lasting.append(message)
                self._trim(self._lasting, MAX_LASTING)
            else:
                self._live.append(message)
                self._trim(self._live, self._max_live)

    def take(self) -> Message | None:
        """Return the next message to send; None where nothing waits."""
        with self._lock:
            if self._changed:
                return self._changed.pop(next(iter(self._changed)))
            if self._lasting:
                return self._lasting.popleft()
            return self._live.popleft() if self._live else None

    def take_live(self) -> Message | None:
        """Return the next message that wants no acknowledgement; None where none waits."""
        with self._lock:
            return self._live.popleft() if self._live else None

    def give_back(self, messages: Iterable[Message]) -> None:
        """Take messages again that were lost on their way, oldest first; retained ones are sent again anyway."""
        with self._lock:
            for message in reversed([message for message in messages if not message.retain]):
                (self._lasting if message.qos else self._live).appendleft(message)
            self._trim(self._lasting, MAX_LASTING)
            self._trim(self._live, self._max_live)

    def resend_retained(self, last: Message) -> None:
        """Have the newest message of every retained topic leave (again), and `last` behind them."""
        with self._lock:
            self._changed = {**self._retained, last.topic: last}

    def count_dropped(self) -> None:
        """Count a message that nobody will send any more."""
        with self._lock:
            self.dropped += 1

    def _forget_oldest_topic(self) -> None:
        if len(self._retained) > MAX_RETAINED:
            oldest = next(iter(self._retained))
            del self._retained[oldest]
            self._changed.pop(oldest, None)
            self.dropped += 1

    def _trim(self, waiting: deque[Message], limit: int) -> None:
        while len(waiting) > limit:
            waiting.popleft()
            self.dropped += 1
