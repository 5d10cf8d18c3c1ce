"""Answers what is asked over the broker. What may be asked stands in `wire/requests.py`; what it does, in the service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from inferd.config.settings import Mqtt
from inferd.control.reporting.publisher import Publisher
from inferd.errors import InferdError
from inferd.records import Incoming
from inferd.system.clock import Clock
from inferd.telemetry.encryption.requests import RequestDecryptor
from inferd.telemetry.remote.request_filter import AcceptedRequest, RequestFilter
from inferd.wire.requests import VERBS, Response

log = logging.getLogger(__name__)

MOST_BYTES = 19_000  # of an answer; header, id and keys around it stay under 20,000 with it
MOST_WAITING = 4  # requests whose answer takes its time


class DeferredAnswer(Protocol):
    """An answer that takes its time; it bounds itself, in bytes and in time."""

    def told(self) -> str | None:
        """Return the answer as JSON; None while it has not come. May raise InferdError."""

    def close(self) -> None:
        """Wait no longer. Twice is fine."""


Answer = Callable[[Any], "str | DeferredAnswer"]  # Any: each verb has arguments of its own, which the gate has checked


@dataclass(frozen=True, slots=True)
class _Waiting:
    incoming: Incoming
    asked: AcceptedRequest
    later: DeferredAnswer


class MqttRequests:
    """Owned by control's main thread."""

    def __init__(self, say: Publisher, mqtt: Mqtt, clock: Clock, answers: Mapping[str, Answer]) -> None:
        """Answer by these functions, one for each verb of the table.

        Args:
            say: speaks for the device.
            mqtt: the prefix of its topics, and the key that requests are sealed with.
            clock: for the rate.
            answers: verb → what it does and answers, as JSON, now or later; it may raise InferdError.
        """
        assert answers.keys() == VERBS.keys(), answers.keys() ^ VERBS.keys()  # noqa: S101 - our own fault
        self._say = say
        self._clock = clock
        self._answers = answers
        self._gate = RequestFilter(mqtt.prefix, say.device, RequestDecryptor(say, mqtt.seal_key_file))
        self._waiting: list[_Waiting] = []

    def heard(self, incoming: Incoming) -> None:
        """Do and answer what was asked, if it was a request."""
        asked = self._gate.admit(incoming, self._clock.monotonic_ns() / 1e9)
        if asked is None:
            return
        if not isinstance(asked, AcceptedRequest):
            self._respond(incoming, asked.verb, Response(asked.id, "error", error=asked.why))
            return
        log.info("request %s, id %r", asked.verb, asked.id)
        try:
            told = self._answers[asked.verb](asked.arguments)
        except InferdError as exc:
            self._respond(incoming, asked.verb, Response(asked.id, "error", error=str(exc)))
            return
        if isinstance(told, str):
            self._respond(incoming, asked.verb, _bounded(asked.id, told))
        else:
            self._wait(_Waiting(incoming, asked, told))

    def turn(self) -> None:
        """Give the answers that have come meanwhile."""
        for one in self._waiting[:]:
            try:
                told = one.later.told()
            except InferdError as exc:
                self._conclude(one, Response(one.asked.id, "error", error=str(exc)))
            else:
                if told is not None:
                    self._conclude(one, Response(one.asked.id, "ok", data=msgspec.Raw(told.encode())))

    def close(self) -> None:
        """Wait for no answer any more. Twice is fine."""
        for one in self._waiting:
            one.later.close()
        self._waiting = []

    def _wait(self, one: _Waiting) -> None:
        self._waiting.append(one)
        if len(self._waiting) > MOST_WAITING:
            why = f"{MOST_WAITING} such requests are under way already; ask again in a moment"
            self._conclude(one, Response(one.asked.id, "error", error=why))

    def _conclude(self, one: _Waiting, response: Response) -> None:
        one.later.close()
        self._waiting.remove(one)
        self._respond(one.incoming, one.asked.verb, response)

    def _respond(self, incoming: Incoming, verb: str, response: Response) -> None:
        self._say.respond(self._gate.response_topic(incoming, verb), incoming.correlation, response)


def _bounded(request_id: str, told: str) -> Response:
    data = told.encode()
    if len(data) > MOST_BYTES:
        why = f"the answer has {len(data)} bytes, and {MOST_BYTES} is the most; ask on the device itself"
        return Response(request_id, "error", error=why)
    return Response(request_id, "ok", data=msgspec.Raw(data))
