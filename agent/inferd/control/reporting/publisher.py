"""Builds messages, numbers them and publishes them over the links. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from inferd import ipc
from inferd.plugins import Link
from inferd.records import Incoming, LabelSummary, Message, PipelineState
from inferd.system.clock import Clock
from inferd.wire import telemetry, topics
from inferd.wire.requests import Response, encode_response
from inferd.wire.result import ResultOrigin, encode_result, inference


class Publisher:
    """Publishes for this device; every message gets the next sequence number. Owned by control's main thread.

    Attributes:
        boot_id: new with every start.
        trusted_since: when the wall clock came to be trusted, in its own seconds; None while it cannot be.
        device: its id.
        seq: the number of the newest message.
        sent_bytes: payloads so far.
    """

    def __init__(self, device: str, links: Sequence[Link], clock: Clock, local_links: Sequence[Link] = ()) -> None:
        """Publish as `device` over all `links`; `local_links` lead to processes on this device."""
        self.boot_id = uuid4().hex[:12]
        self.device = device
        self._local_links = local_links
        self._links = (*links, *local_links)
        self._clock = clock
        self.seq = 0
        self.trusted_since: float | None = 0.0
        self.sent_bytes = 0

    def send(self, topic: topics.Topic, body: telemetry.Body, pipeline: str = "") -> None:
        """Publish a message with this body."""
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
        """Publish an event; `data` holds further facts by name, units in the name."""
        topic = topics.ALERT if kind.startswith("alert.") else topics.EVENT
        self.send(topic, telemetry.Event(kind, severity, why, pipeline or None, model or None, data))

    def status(self, pipeline: str, state: PipelineState, why: str) -> None:
        """Publish a pipeline's state."""
        since = telemetry.iso_time(self._clock.wall_s())
        self.send(topics.PIPELINE_STATUS, telemetry.PipelineStatus(state, why, since), pipeline)

    def settled_state(self, pipeline: str, answer: LabelSummary) -> None:
        """Publish a pipeline's settled answer."""
        since = telemetry.iso_time(self._clock.wall_s())
        self.send(topics.STATE, telemetry.settled_state(answer, since), pipeline)

    def result(self, message: ipc.ResultReported, task: str, *, kept: bool = False, metered: bool = False) -> None:
        """Publish a result with the time of its frame.

        Args:
            message: the result.
            task: of its model.
            kept: whether it waits on disk while the broker is away.
            metered: whether it stays on this device; it then has the number of the message before.
        """
        links = self._local_links if metered else self._links
        if metered and not any(link.connected for link in links):
            return
        turn = message.tick
        told = inference(turn.origin or message.pipeline, message.ref.name, task, turn.result, turn.times, turn.crop)
        origin = ResultOrigin(message.pipeline, message.ref.version, turn.seq)
        topic = topics.KEPT_RESULT if kept else topics.RESULT
        header = self._header(turn.taken_at, numbered=not metered)
        self._publish(topic.message(encode_result(header, origin, told), message.pipeline), links if metered else None)

    def image(self, pipeline: str, picture: bytes, *, retain: bool) -> None:
        """Publish a picture of a pipeline as a JPEG, to the broker only; b"" clears a retained one."""
        message = replace(topics.IMAGE.message(picture, pipeline), retain=retain)
        self._publish(message, [link for link in self._links if link not in self._local_links])

    def clear_retained(self, pipeline: str) -> None:
        """Clear what the broker retains of a pipeline that is gone."""
        for topic in topics.TOPICS:
            if topic.retain and "<pipeline>" in topic.path:
                self._publish(topic.message(b"", pipeline))

    def publish(self, message: Message) -> None:
        """Publish a message as it is, in the form of another system."""
        self._publish(message)

    def dropped(self) -> int:
        """Return how many messages the links have dropped."""
        return sum(link.dropped() for link in self._links)

    def respond(self, topic: str, correlation: bytes, response: Response) -> None:
        """Publish the answer to a request on a full topic."""
        payload = encode_response(self._header(self._clock.wall_s()), response)
        self._publish(Message(topic, payload, 1, absolute=True, correlation=correlation))

    def report_link_events(self) -> None:
        """Publish the events of links."""
        for one in [one for link in self._links for one in link.events()]:
            self.event(one.kind, "error" if one.kind == "link.twin" else "warning", one.why)

    def incoming(self) -> list[Incoming]:
        """Return what the links have received since the last call."""
        return [heard for link in self._links for heard in link.incoming()]

    def close(self, timeout_s: float) -> None:
        """Send what waits, then disconnect."""
        for link in self._links:
            link.close(timeout_s)

    def _header(self, wall_s: float, *, numbered: bool = True) -> telemetry.Header:
        self.seq += numbered
        time, trusted = telemetry.iso_time(wall_s), self.trusted_since is not None and wall_s >= self.trusted_since
        mark: Literal[True] | UnsetType = UNSET if trusted else True
        return telemetry.Header(telemetry.SCHEMA_VERSION, self.device, time, self.boot_id, self.seq, mark)

    def _publish(self, message: Message, links: Sequence[Link] | None = None) -> None:
        if links is None:
            links = self._links
            self.sent_bytes += len(message.payload)
        for link in links:
            link.publish(message)
