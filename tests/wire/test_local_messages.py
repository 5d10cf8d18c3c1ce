"""Golden bytes of the local socket: what clients in other languages read and write."""

from __future__ import annotations

import msgspec

from inferd.records import Box, Result
from inferd.wire.requests import DroppedPackets, LocalFrame, LocalRequest, LocalResponse


def test_a_request() -> None:
    packet = b'{"verb":"snapshot","data":{"pipeline":"cam"}}'
    assert msgspec.json.encode(LocalRequest("snapshot", msgspec.Raw(b'{"pipeline":"cam"}'))) == packet
    assert bytes(msgspec.json.decode(b'{"verb":"ping"}', type=LocalRequest).data) == b"{}"


def test_answers() -> None:
    answer = LocalResponse("ok", msgspec.Raw(b'{"version":"1"}'))
    assert msgspec.json.encode(answer) == b'{"status":"ok","data":{"version":"1"},"error":null,"in_file":false}'
    refusal = LocalResponse("error", error="cam: is no pipeline")
    assert (
        msgspec.json.encode(refusal) == b'{"status":"error","data":null,"error":"cam: is no pipeline","in_file":false}'
    )


def test_a_frame() -> None:
    frame = LocalFrame("cam", 7, "cats v1", Result(boxes=(Box(1, "cat", 0.9, (0.1, 0.2, 0.3, 0.4)),)))
    assert msgspec.json.encode(frame) == (
        b'{"pipeline":"cam","frame":7,"model":"cats v1",'
        b'"result":{"boxes":[{"id":1,"label":"cat","score":0.9,"box":[0.1,0.2,0.3,0.4]}]}}'
    )


def test_missed_packets() -> None:
    assert msgspec.json.encode(DroppedPackets(12)) == b'{"dropped":12}'
