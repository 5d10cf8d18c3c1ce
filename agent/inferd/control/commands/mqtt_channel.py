"""The command channel over MQTT: filters requests, runs their verbs, publishes the answers.

`telemetry/remote/request_filter.py` turns away what is malformed, repeated or too frequent; `mqtt.requests` says which verbs
may be used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from inferd.config.mqtt import request_access
from inferd.config.settings import Mqtt
from inferd.control.commands.command_table import CommandTable, internal, why_not_allowed
from inferd.control.commands.snapshot_request import MQTT_BYTES, MqttSnapshot, SnapshotRequest
from inferd.control.reporting.publisher import Publisher
from inferd.errors import ConfigError, InferdError
from inferd.records import Incoming
from inferd.system.clock import Clock
from inferd.telemetry.encryption.requests import RequestDecryptor
from inferd.telemetry.remote.request_filter import AcceptedRequest, RequestFilter
from inferd.wire.requests import Response, SnapshotArguments

log = logging.getLogger(__name__)

MOST_BYTES = 19_000  # of an answer; with header, id and keys it stays under 20,000
MOST_WAITING = 4  # snapshots under way


@dataclass(frozen=True, slots=True)
class _Waiting:
    incoming: Incoming
    accepted: AcceptedRequest
    answer: MqttSnapshot


class MqttChannel:
    """Owned by control's main thread."""

    def __init__(
        self,
        publisher: Publisher,
        mqtt: Mqtt,
        clock: Clock,
        table: CommandTable,
        snapshot: Callable[[str, bool, int], SnapshotRequest],
    ) -> None:
        """Answer requests for this device.

        Args:
            publisher: publishes the answers.
            mqtt: the prefix of topics, the key of encrypted requests, and which verbs may be used.
            clock: for the rate.
            table: runs verbs.
            snapshot: asks the worker for a frame of a pipeline, drawn or not, as a JPEG of so many bytes at most.
        """
        self._publisher = publisher
        self._mqtt = mqtt
        self._clock = clock
        self._table = table
        self._snapshot = snapshot
        self._filter = RequestFilter(mqtt.prefix, publisher.device, RequestDecryptor(publisher, mqtt.seal_key_file))
        self._waiting: list[_Waiting] = []

    def configure(self, mqtt: Mqtt) -> None:
        """Allow what this configuration allows from now on."""
        self._mqtt = mqtt

    def handle(self, incoming: Incoming) -> None:
        """Carry out and answer a message, if it is a request."""
        request = self._filter.admit(incoming, self._clock.monotonic_ns() / 1e9)
        if request is None:
            return
        if not isinstance(request, AcceptedRequest):
            self._respond(incoming, request.verb, Response(request.id, "error", error=request.why))
            return
        log.info("request %s, id %r", request.verb, request.id)
        try:
            self._run(incoming, request)
        except InferdError as exc:
            self._respond(incoming, request.verb, Response(request.id, "error", error=str(exc)))
        except Exception as exc:  # what arrives by a network must not end the process
            log.exception("request %s failed", request.verb)
            self._respond(incoming, request.verb, Response(request.id, "error", error=internal(exc)))

    def turn(self) -> None:
        """Publish answers that have come meanwhile."""
        for one in self._waiting[:]:
            try:
                answer = one.answer.poll()
            except InferdError as exc:
                self._conclude(one, Response(one.accepted.id, "error", error=str(exc)))
            else:
                if answer is not None:
                    self._conclude(one, Response(one.accepted.id, "ok", data=msgspec.Raw(answer.encode())))

    def close(self) -> None:
        """Wait for no answer any more. Idempotent."""
        for one in self._waiting:
            one.answer.close()
        self._waiting = []

    def _run(self, incoming: Incoming, request: AcceptedRequest) -> None:
        if why := why_not_allowed(request.verb, request_access(self._mqtt), "mqtt.requests"):
            raise ConfigError("mqtt.requests", why)
        if isinstance(request.arguments, SnapshotArguments):
            if not self._mqtt.snapshots:
                raise ConfigError("mqtt.snapshots", "no picture leaves this device over MQTT; true allows it")
            if len(self._waiting) >= MOST_WAITING:
                raise ConfigError("snapshot", f"{MOST_WAITING} snapshots are under way; ask again in a moment")
            pipeline = self._table.pipeline(request.arguments.pipeline)
            answer = MqttSnapshot(self._snapshot(pipeline, request.arguments.drawn, MQTT_BYTES))
            self._waiting.append(_Waiting(incoming, request, answer))
            return
        self._respond(incoming, request.verb, _bounded(request.id, self._table.run(request.verb, request.arguments)))

    def _conclude(self, one: _Waiting, response: Response) -> None:
        one.answer.close()
        self._waiting.remove(one)
        self._respond(one.incoming, one.accepted.verb, response)

    def _respond(self, incoming: Incoming, verb: str, response: Response) -> None:
        self._publisher.respond(self._filter.response_topic(incoming, verb), incoming.correlation, response)


def _bounded(request_id: str, data: bytes) -> Response:
    if len(data) > MOST_BYTES:
        why = f"the answer has {len(data)} bytes, and {MOST_BYTES} is the most; ask on the device itself"
        return Response(request_id, "error", error=why)
    return Response(request_id, "ok", data=msgspec.Raw(data))
