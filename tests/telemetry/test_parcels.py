"""What was missed leaves in batches: bounded, in order, each message with its own topic, time and seal."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest

from inferd.records import Message
from inferd.telemetry.frames import Record
from inferd.telemetry.parcels import MOST_TOGETHER, Batch, batch_of, together
from inferd.telemetry.seal import Sealer
from inferd.wire.replay import decode_missed
from inferd.wire.telemetry import LIMIT_BYTES, Event, Header, encode

MOST_BYTES = 64_000


def event(seq: int, size_bytes: int = 300) -> Message:
    header = Header(1, "kitchen", "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", seq)
    bare = len(encode(header, Event("model.active", "info", "")))
    return Message("event", encode(header, Event("model.active", "info", "x" * (size_bytes - bare))), 1)


def batches(messages: list[Message]) -> list[Batch]:
    waiting, made = deque(messages), []
    while taken := together(lambda: waiting.popleft() if waiting else None):
        made.append(Batch(tuple(taken)))
    return made


def test_messages_leave_together_in_their_order_and_none_is_left_out() -> None:
    messages = [event(seq) for seq in range(150)]
    made = batches(messages)
    assert [one for batch in made for one in batch.messages] == messages
    assert max(len(batch.messages) for batch in made) <= MOST_TOGETHER


def test_a_batch_may_hold_one() -> None:
    packed = Batch((event(1),)).packed(None)
    assert (packed.topic, packed.qos, packed.retain) == ("replay", 1, False)
    assert [one.topic for one in decode_missed(packed.payload)] == ["event"]


@pytest.mark.parametrize("size_bytes", [200, 280, 300, 1500, 17_900, LIMIT_BYTES])
def test_a_batch_stays_under_64_kb_even_sealed(size_bytes: int) -> None:
    pytest.importorskip("cryptography", reason="pip install 'inferd[crypto]'")
    small, large = event(1, size_bytes), event(2, LIMIT_BYTES)
    seal = Sealer(b"k" * 32).seal
    for batch in batches([small] * MOST_TOGETHER + [large] * 3 + [small, large] * 3):
        assert len(batch.packed(seal).payload) < MOST_BYTES


def test_each_message_is_sealed_by_itself_and_keeps_what_tells_a_repetition() -> None:
    pytest.importorskip("cryptography", reason="pip install 'inferd[crypto]'")
    sealer = Sealer(b"k" * 32)
    told = decode_missed(Batch((event(7), event(8))).packed(sealer.seal).payload)
    headers = [msgspec.json.decode(one.message, type=Header) for one in told]
    assert [(one.device, one.boot_id, one.seq) for one in headers] == [("kitchen", "c0ffeec0ffee", n) for n in (7, 8)]
    assert b"model.active" not in b"".join(bytes(one.message) for one in told)
    assert [sealer.open(bytes(one.message)) for one in told] == [event(7).payload, event(8).payload]


def test_what_the_spool_has_kept_keeps_its_topic_and_its_numbers() -> None:
    batch = batch_of([Record(4, "event", 0.0, "event", b"{}"), Record(6, "result", 0.0, "cam/result", b"{}")])
    assert batch.numbers == (4, 6)
    assert [one.topic for one in decode_missed(batch.packed(None).payload)] == ["event", "cam/result"]
