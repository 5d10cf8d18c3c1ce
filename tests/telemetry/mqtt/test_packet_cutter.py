"""Large packets are cut while they are read, and nothing else is changed."""

from __future__ import annotations

import random
from collections import deque

import pytest

from fixtures.network.scripted_broker import packet, publish
from inferd.telemetry.mqtt.packet_cutter import CHUNK_BYTES, CHUNKS, PacketCutter, remaining_length

LIMIT_BYTES = 1_000


class Stream:
    """Bytes that arrive in pieces of random size, with nothing in between now and then."""

    def __init__(self, content: bytes, seed: int) -> None:
        self._content = content
        self._random = random.Random(seed)  # noqa: S311 - the same pieces every time
        self.asked_bytes: deque[int] = deque()

    def recv(self, size: int) -> bytes:
        if self._content and self._random.random() < 0.3:
            raise BlockingIOError
        self.asked_bytes.append(size)
        size = min(size, self._random.randint(1, 400))
        piece, self._content = self._content[:size], self._content[size:]
        return piece


def cut(content: bytes, seed: int = 0) -> bytes:
    cutter, stream, seen = PacketCutter(LIMIT_BYTES), Stream(content, seed), bytearray()
    asks = random.Random(seed)  # noqa: S311 - as above
    while True:
        try:
            piece = cutter.read(stream.recv, asks.randint(1, 300))
        except BlockingIOError:
            continue
        if not piece:
            return bytes(seen)
        seen += piece


@pytest.mark.parametrize("seed", range(20))
def test_packets_within_the_limit_pass_as_they_are(seed: int) -> None:
    content = b"".join(publish(b"a/b", b"x" * size, qos=1) for size in (0, 1, 100, 126, 127, 128, 985)) + packet(
        13, b""
    )
    assert cut(content, seed) == content


@pytest.mark.parametrize("size", [LIMIT_BYTES - 4, 50_000, 3_000_000])
def test_a_larger_packet_keeps_its_start_and_the_next_one_is_whole(size: int) -> None:
    large, after = publish(b"a/b", b"x" * size), publish(b"c", b"after")
    body = large[1 + len(remaining_length(5 + size)) :][:LIMIT_BYTES]
    assert cut(large + after) == large[:1] + remaining_length(LIMIT_BYTES) + body + after


def test_dropping_yields_so_that_sending_goes_on() -> None:
    endless = iter([b"\x30", b"\xff", b"\xff", b"\xff", b"\x7f", b"x" * LIMIT_BYTES])
    reads: list[int] = []

    def recv(size: int) -> bytes:
        reads.append(size)
        return next(endless, b"x" * size)

    cutter = PacketCutter(LIMIT_BYTES)
    assert cutter.read(recv, 5) == b"\x30" + remaining_length(LIMIT_BYTES)
    while not cutter.read(recv, LIMIT_BYTES).startswith(b"x"):
        pass
    reads.clear()
    with pytest.raises(BlockingIOError):
        cutter.read(recv, 1)
    assert reads == [CHUNK_BYTES] * CHUNKS


def test_the_greeting_is_kept() -> None:
    cutter = PacketCutter(LIMIT_BYTES)
    stream = iter([b"H", b"T", b"TP/1.1 400 Bad Request"])
    cutter.read(lambda _: next(stream), 2)
    cutter.read(lambda _: next(stream), 80)
    assert cutter.greeting == b"HTTP/1.1"


@pytest.mark.parametrize(("length", "cut_packets"), [(LIMIT_BYTES - 1, 0), (LIMIT_BYTES, 0), (LIMIT_BYTES + 1, 1)])
def test_only_packets_above_the_limit_count_as_cut(length: int, cut_packets: int) -> None:
    cutter, stream = PacketCutter(LIMIT_BYTES), iter(packet(3, b"x" * length))
    cutter.read(lambda _: bytes([next(stream)]), 5)
    assert cutter.cut == cut_packets
