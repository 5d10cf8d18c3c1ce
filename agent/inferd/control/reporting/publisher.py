"""Turns what control knows into messages and hands them to the links. It numbers them; it decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

from msgspec import UNSET, UnsetType

from inferd import ipc
from inferd.plugins import Link
from inferd.records import Incoming, LabelSummary, Message, PipelineState
from inferd.system.clock import Clock
from inferd.wire import telemetry, topics
from inferd.wire.requests import Response, encode_response
from inferd.wire.result import ResultOrigin, encode_result, inference


class Publisher:
    """Speaks for this device; every message gets the next sequence number. Owned by control's main thread.

    Attributes:
        boot_id: new with every start.
        trusted_since: when the wall clock came to be trusted, in its own seconds; None while it cannot be.
        device: its id.
        seq: the number of the newest message.
        sent_bytes: payloads so far.
    """

    def __init__(self, device: str, links: Sequence[Link], clock: Clock) -> None:
        """Speak as `device` over all `links`."""
        self.boot_id = uuid4().hex[:12]
        self.device = device
        self._links = links
        self._clock = clock
        self.seq = 0
        self.trusted_since: float | None = 0.0
        self.sent_bytes = 0

    def say(self, topic: topics.Topic, body: telemetry.Body, pipeline: str = "") -> None:
        """Send a message with this body."""
        self._publish(topic.message(telemetry.encode(self._header(self._clock.wall_s()), body), pipeline))

    def event(
        self,
        kind: telemetry.EventKind,
        severity: telemetry.Severity,
        why: str,
        pipeline: str = "",
        model: str = "",
        **data: telemetry.Fact,
    ) -> None:
        """Tell that something happened; `data` holds further facts by name, units in the name."""
        topic = topics.ALERT if kind.startswith("alert.") else topics.EVENT
        self.say(topic, telemetry.Event(kind, severity, why, pipeline or None, model or None, data))

    def status(self, pipeline: str, state: PipelineState, why: str) -> None:
        """Tell a pipeline's state, from now on."""
        since = telemetry.iso_time(self._clock.wall_s())
        self.say(topics.PIPELINE_STATUS, telemetry.PipelineStatus(state, why, since), pipeline)

    def settled(self, pipeline: str, answer: LabelSummary) -> None:
        """Tell a pipeline's settled answer, from now on."""
        since = telemetry.iso_time(self._clock.wall_s())
        self.say(topics.STATE, telemetry.settled_state(answer, since), pipeline)

    def result(self, message: ipc.ResultReported, task: str, *, kept: bool = False) -> None:
        """Tell a result, with the time at which its frame was captured; `kept` results wait on disk for the broker."""
        turn = message.tick
        told = inference(turn.origin or message.pipeline, message.ref.name, task, turn.result, turn.times, turn.crop)
        whence = ResultOrigin(message.pipeline, message.ref.version, turn.seq)
        payload = encode_result(self._header(turn.taken_at), whence, told)
        topic = topics.KEPT_RESULT if kept else topics.RESULT
        self._publish(topic.message(payload, message.pipeline))

    def forget(self, pipeline: str) -> None:
        """Take back what the broker retains of a pipeline that is gone."""
        for topic in topics.TOPICS:
            if topic.retain and "<pipeline>" in topic.path:
                self._publish(topic.message(b"", pipeline))

    def publish(self, message: Message) -> None:
        """Send a message as it is: what others want to hear in their own words."""
        self._publish(message)

    def dropped(self) -> int:
        """Return how many messages the links' bounds have cost."""
        return sum(link.dropped() for link in self._links)

    def respond(self, topic: str, correlation: bytes, response: Response) -> None:
        """Answer a request on a whole topic."""
        payload = encode_response(self._header(self._clock.wall_s()), response)
        self._publish(Message(topic, payload, 1, absolute=True, correlation=correlation))

    def tell_of_links(self) -> None:
        """Tell what the links want a person to know."""
        for one in [one for link in self._links for one in link.events()]:
            self.event(one.kind, "error" if one.kind == "link.twin" else "warning", one.why)

    def incoming(self) -> list[Incoming]:
        """Return what the links have heard since the last time."""
        return [heard for link in self._links for heard in link.incoming()]

    def close(self, timeout_s: float) -> None:
        """Send what waits and say goodbye."""
        for link in self._links:
            link.close(timeout_s)

    def _header(self, wall_s: float) -> telemetry.Header:
        self.seq += 1
        time, trusted = telemetry.iso_time(wall_s), self.trusted_since is not None and wall_s >= self.trusted_since
        mark: Literal[True] | UnsetType = UNSET if trusted else True
        return telemetry.Header(telemetry.SCHEMA_VERSION, self.device, time, self.boot_id, self.seq, mark)

    def _publish(self, message: Message) -> None:
        self.sent_bytes += len(message.payload)
        for link in self._links:
            link.publish(message)
