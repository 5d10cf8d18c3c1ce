"""A frame for who asks over the broker: what comes of it, and that it is never too large for one."""

from __future__ import annotations

import msgspec
import pytest

from inferd import ipc
from inferd.control.commands.snapshot_request import LATEST_S, MQTT_BYTES, SnapshotRequest
from inferd.errors import WorkerError
from inferd.records import Message
from inferd.system.clock import CountingClock
from inferd.system.processes.channel import Channel, channel_pair
from inferd.telemetry.encryption.payload import PayloadCipher
from inferd.wire.requests import Response, Snapshot, encode_response
from inferd.wire.telemetry import Header

BROKER_BYTES = 65_536  # message_size_limit of deploy/mosquitto/inferd.conf


class Asked:
    """A look, and the worker at its other end."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        self.clock = CountingClock()
        self.worker: Channel[ipc.Stop, ipc.FrameReply] = Channel(theirs, ipc.Stop)
        self.look = SnapshotRequest("cam", Channel(ours, ipc.FrameReply), self.clock)  # type: ignore[arg-type]  # a union

    def why(self) -> str:
        with pytest.raises(WorkerError) as told:
            self.look.poll()
        self.look.close()
        return str(told.value)


def test_as_long_as_no_frame_came_there_is_no_answer() -> None:
    asked = Asked()
    assert asked.look.poll() is None
    asked.clock.advance(LATEST_S + 1)
    assert asked.why() == "cam: its worker sent no frame within 10 s; see its status"


def test_a_worker_that_ends_is_named() -> None:
    asked = Asked()
    asked.worker.close()
    assert asked.why() == "cam: its worker ended before it sent a frame; see its status"


def test_what_the_worker_says_instead_of_a_frame_is_passed_on() -> None:
    asked = Asked()
    asked.worker.send(ipc.SnapshotRefused("pipeline 'cam' gave no result in 5 s"))
    assert asked.why() == "snapshot: pipeline 'cam' gave no result in 5 s"


def test_the_largest_picture_fits_through_our_example_of_a_broker_even_sealed() -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    told = msgspec.json.encode(Snapshot("c" * 64, 1 << 40, "model" * 20, b"\xff" * MQTT_BYTES))
    header = Header(1, "d" * 64, "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", 1 << 40)
    response = encode_response(header, Response("i" * 64, "ok", data=msgspec.Raw(told)))
    sealed = PayloadCipher(b"k" * 32).seal(Message("response/snapshot", response, 1))
    assert len(sealed.payload) < BROKER_BYTES
