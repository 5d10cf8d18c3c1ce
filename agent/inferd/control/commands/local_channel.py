"""The command channel on this device: answers what commands, the page and local clients ask over the local socket."""

from __future__ import annotations

import logging
import os
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inferd.control.commands.command_table import CommandTable, internal, why_not_allowed
from inferd.control.commands.frame_streams import FrameStreams
from inferd.control.commands.local_socket import (
    NAME,
    VIEW_NAME,
    LocalCall,
    LocalListener,
    encode,
    send_packet,
    view_group,
)
from inferd.control.commands.snapshot_request import SnapshotRequest
from inferd.control.reporting.result_stream import ResultStream
from inferd.control.reporting.subscriber import MOST_SUBSCRIBERS
from inferd.errors import InferdError, WorkerError
from inferd.system.clock import Clock
from inferd.wire.requests import (
    TABLE,
    FramesArguments,
    LocalResponse,
    ResultsArguments,
    SnapshotArguments,
    decode_arguments,
)

log = logging.getLogger(__name__)

MOST_SNAPSHOTS = 8  # under way
SNAPSHOT_BYTES = 0  # a PNG, which loses nothing


@dataclass(frozen=True, slots=True)
class _Waiting:
    call: LocalCall
    request: SnapshotRequest


class LocalChannel:
    """Owned by control's main thread."""

    def __init__(
        self,
        table: CommandTable,
        results: ResultStream,
        snapshot: Callable[[str, bool, int], SnapshotRequest],
        clock: Clock,
    ) -> None:
        """Answer by these.

        Args:
            table: runs verbs.
            results: gets those who subscribe to results.
            snapshot: asks the worker for a frame of a pipeline, drawn or not, as a JPEG of so many bytes at most, or a PNG.
            clock: times requests.
        """
        self._table = table
        self._results = results
        self._snapshot = snapshot
        self._frames = FrameStreams(snapshot, clock)
        self._clock = clock
        self._listeners: list[LocalListener] = []
        self._waiting: list[_Waiting] = []

    def listen(self, folder: Path, selector: selectors.BaseSelector) -> None:
        """Listen in a folder; an agent that cannot be reached by commands still infers."""
        try:
            self._listeners.append(LocalListener(folder, NAME, "all", self._clock))
        except WorkerError as exc:
            log.warning("%s", exc)
        if (group := view_group()) is not None:
            try:
                self._listeners.append(LocalListener(folder, VIEW_NAME, "operate", self._clock, group))
            except WorkerError as exc:
                log.warning("%s; is our user a member of its group?", exc)
        for listener in self._listeners:
            selector.register(listener, selectors.EVENT_READ)

    @property
    def busy(self) -> bool:
        """Whether the worker was asked for a frame that has not come."""
        return bool(self._waiting) or self._frames.busy

    def turn(self) -> None:
        """Answer what was asked, and feed those who subscribed."""
        for listener in self._listeners:
            for call in listener.pop_calls():
                try:
                    self._run(call)
                except InferdError as exc:
                    call.refuse(str(exc))
                except Exception as exc:  # another process must not end this one
                    log.exception("local request %s failed", call.request.verb)
                    call.refuse(internal(exc))
        self._send_snapshots()
        self._frames.turn()
        self._results.turn()

    def close(self) -> None:
        """Stop listening, and close all connections. Idempotent."""
        for listener in self._listeners:
            listener.close()
        for one in self._waiting:
            one.request.close()
            one.call.connection.close()
        self._listeners, self._waiting = [], []
        self._frames.close()
        self._results.close(0.0)

    def _run(self, call: LocalCall) -> None:
        verb = call.request.verb
        if verb not in TABLE:
            raise WorkerError(verb[:40], f"there is no such request; there are {', '.join(TABLE)}")
        if why := why_not_allowed(verb, call.access, "this socket"):
            raise WorkerError(verb, why)
        try:
            arguments = decode_arguments(verb, call.request.data)
        except ValueError as exc:
            raise WorkerError(verb, str(exc)) from exc
        match arguments:
            case ResultsArguments(pipeline):
                wanted = self._table.pipeline(pipeline) if pipeline else ""
                self._subscribed(call, room=self._results.subscribe(call.connection, wanted))
            case FramesArguments(pipeline, drawn):
                wanted = self._table.pipeline(pipeline)
                self._subscribed(call, room=self._frames.subscribe(call.connection, wanted, drawn=drawn))
            case SnapshotArguments(pipeline, drawn):
                if len(self._waiting) >= MOST_SNAPSHOTS:
                    raise WorkerError(verb, f"{MOST_SNAPSHOTS} snapshots are under way; ask again in a moment")
                request = self._snapshot(self._table.pipeline(pipeline), drawn, SNAPSHOT_BYTES)
                self._waiting.append(_Waiting(call, request))
            case _:
                call.answer(self._table.run(verb, arguments))

    def _subscribed(self, call: LocalCall, *, room: bool) -> None:
        if not room:
            raise WorkerError(call.request.verb, f"{MOST_SUBSCRIBERS} subscribers are connected already; close one")
        send_packet(call.connection, encode(LocalResponse("ok", msgspec.Raw(b"{}"))))

    def _send_snapshots(self) -> None:
        for one in self._waiting[:]:
            try:
                received = one.request.poll()
            except InferdError as exc:
                one.call.refuse(str(exc))
            else:
                if received is None:
                    continue
                frame, fd = received
                try:
                    data = msgspec.Raw(msgspec.json.encode(frame))
                    send_packet(one.call.connection, encode(LocalResponse("ok", data)), fd)
                finally:
                    os.close(fd)
                one.call.connection.close()
            one.request.close()
            self._waiting.remove(one)
