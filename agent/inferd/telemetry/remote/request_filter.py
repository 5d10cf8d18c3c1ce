"""Accepts the requests that are allowed over the broker, and no others. Pure but for its memory, which is bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import msgspec

from inferd.errors import LinkError
from inferd.records import Incoming
from inferd.telemetry.connection_errors import Stale
from inferd.telemetry.encryption.requests import RequestDecryptor
from inferd.wire.decoding import decode
from inferd.wire.requests import LIMIT_BYTES, VERBS, Arguments, Request, decode_arguments
from inferd.wire.topics import REQUEST, RESPONSE, full_topic

PER_S = 5.0
AT_ONCE = 20
REMEMBERED = 1000  # ids; an older one that comes again is answered again
LONGEST_TOPIC = 256

_request = msgspec.json.Decoder(Request)


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request that is allowed."""

    verb: str
    id: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class RejectedRequest:
    """A request that is refused, and why."""

    verb: str
    id: str
    why: str


class RequestFilter:
    """Owned by control's main thread.

    Attributes:
        ignored: requests that were not answered: too many, or asked before.
    """

    def __init__(self, prefix: str, device: str, opener: RequestDecryptor | None = None) -> None:
        """Accept requests to `device`; `opener` decrypts them where messages are encrypted."""
        self.ignored = 0
        self._requests = full_topic(prefix, device, REQUEST)
        self._responses = full_topic(prefix, device, RESPONSE)
        self._opener = opener
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._tokens = float(AT_ONCE)
        self._looked_s = 0.0

    def admit(self, incoming: Incoming, now_s: float) -> AcceptedRequest | RejectedRequest | None:
        """Return the request, or why it is refused; None where there is nothing to answer.

        Args:
            incoming: a message; one that is no request is ignored.
            now_s: monotonic.
        """
        if not incoming.topic.startswith(self._requests):
            return None
        if not self._may(now_s):
            self.ignored += 1
            return None
        verb = incoming.topic.removeprefix(self._requests)
        try:
            opened, quoted = self._opener.open(verb, incoming.payload) if self._opener else (incoming.payload, 0)
        except Stale as exc:
            return RejectedRequest(
                verb, _read(msgspec.structs.replace(incoming, payload=exc.request), verb).id, exc.message
            )
        except LinkError as exc:
            return RejectedRequest(verb, "", exc.message)
        asked = _read(msgspec.structs.replace(incoming, payload=opened), verb)
        if asked.id and asked.id in self._seen:
            self.ignored += 1
            return None
        self._remember(asked.id, quoted)
        return asked

    def response_topic(self, incoming: Incoming, verb: str) -> str:
        """Return the full topic for the answer: the one that an MQTT 5 request names, if it is below `response/`.

        A device publishes below its own topics only: else a request could make it write anywhere on the broker, with its
        rights. An unknown verb is not repeated either.
        """
        wanted = incoming.response_topic
        usable = len(self._responses) < len(wanted) <= LONGEST_TOPIC and not set("+#\0") & set(wanted)
        if usable and wanted.startswith(self._responses):
            return wanted
        return f"{self._responses}{verb if verb in VERBS else 'unknown'}"

    def _may(self, now_s: float) -> bool:
        self._tokens = min(float(AT_ONCE), self._tokens + (now_s - self._looked_s) * PER_S)
        self._looked_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _remember(self, request_id: str, quoted: int) -> None:
        if request_id:
            self._seen[request_id] = quoted
        while len(self._seen) > REMEMBERED:
            _, forgotten = self._seen.popitem(last=False)
            if self._opener:
                self._opener.forget(forgotten)


def _read(incoming: Incoming, verb: str) -> AcceptedRequest | RejectedRequest:
    if len(incoming.payload) > LIMIT_BYTES:
        return RejectedRequest(verb, "", f"a request has at most {LIMIT_BYTES} bytes")
    try:
        request = decode(_request, incoming.payload)
    except msgspec.MsgspecError as exc:
        return RejectedRequest(verb, "", f'a request is {{"id": "...", "data": {{...}}}}: {exc}')
    if incoming.retained:
        return RejectedRequest(
            verb, request.id, "a request must not be retained: it would be obeyed again at every connect"
        )
    if verb not in VERBS:
        return RejectedRequest(verb, request.id, f"there is no such request; there are {', '.join(VERBS)}")
    try:
        return AcceptedRequest(verb, request.id, decode_arguments(verb, request.data))
    except ValueError as exc:
        return RejectedRequest(verb, request.id, str(exc))
