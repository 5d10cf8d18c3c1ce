"""Answers what is asked over the broker. What may be asked stands in `wire/requests.py`; what it does, in the service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from inferd.control.announce import Announcer
from inferd.errors import InferdError
from inferd.records import Incoming
from inferd.system.clock import Clock
from inferd.telemetry.gate import Asked, Gate
from inferd.wire.requests import VERBS, Response

log = logging.getLogger(__name__)

MOST_BYTES = 19_000  # of an answer; header, id and keys around it stay under 20,000 with it

Answer = Callable[[Any], str]  # Any: each verb has arguments of its own, which the gate has checked; returns JSON


class Remote:
    """Owned by control's main thread."""

    def __init__(self, say: Announcer, prefix: str, clock: Clock, answers: Mapping[str, Answer]) -> None:
        """Answer by these functions, one for each verb of the table.

        Args:
            say: speaks for the device.
            prefix: of its topics.
            clock: for the rate.
            answers: verb → what it does and answers, as JSON; it may raise InferdError.
        """
        assert answers.keys() == VERBS.keys(), answers.keys() ^ VERBS.keys()  # noqa: S101 - our own fault
        self._say = say
        self._clock = clock
        self._answers = answers
        self._gate = Gate(prefix, say.device)

    def heard(self, incoming: Incoming) -> None:
        """Do and answer what was asked, if it was a request."""
        asked = self._gate.admit(incoming, self._clock.monotonic_ns() / 1e9)
        if asked is None:
            return
        if isinstance(asked, Asked):
            log.info("request %s, id %r", asked.verb, asked.id)
            response = self._answer(asked)
        else:
            response = Response(asked.id, "error", error=asked.why)
        self._say.respond(self._gate.response_topic(incoming, asked.verb), incoming.correlation, response)

    def _answer(self, asked: Asked) -> Response:
        try:
            told = self._answers[asked.verb](asked.arguments)
        except InferdError as exc:
            return Response(asked.id, "error", error=str(exc))
        data = told.encode()
        if len(data) > MOST_BYTES:
            why = f"the answer has {len(data)} bytes, and {MOST_BYTES} is the most; ask on the device itself"
            return Response(asked.id, "error", error=why)
        return Response(asked.id, "ok", data=msgspec.Raw(data))
