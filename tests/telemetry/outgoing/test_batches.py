"""What was missed leaves in batches: bounded, in order, each message with its own topic, time and seal."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest

from inferd.records import Message
from inferd.telemetry.encryption.payload import PayloadCipher
from inferd.telemetry.outgoing.batches import MOST_TOGETHER, Batch, BatchBounds, batch_of, bounds_within, together
from inferd.telemetry.spool.record_codec import Record
from inferd.wire.replay import decode_missed
from inferd.wire.telemetry import LIMIT_BYTES, Event, Header, encode

MOST_BYTES = 20_000


def event(seq: int, size_bytes: int = 300) -> Message:
    header = Header(1, "kitchen", "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", seq)
    bare = len(encode(header, Event("model.active", "info", "")))
    return Message("event", encode(header, Event("model.active", "info", "x" * (size_bytes - bare))), 1)


def batches(messages: list[Message], bounds: BatchBounds = BatchBounds()) -> list[Batch]:  # noqa: B008 - frozen
    waiting, made = deque(messages), []
    while taken := together(lambda fits: waiting.popleft() if waiting and fits(waiting[0]) else None, bounds):
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


@pytest.mark.parametrize("size_bytes", [200, 280, 300, 1500, 9_000, 17_900, LIMIT_BYTES])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_batch_stays_under_20_kb_unless_one_message_is_larger(size_bytes: int, *, sealed: bool) -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    seal = PayloadCipher(b"k" * 32).seal if sealed else None
    small, large = event(1, size_bytes), event(2, LIMIT_BYTES)
    waiting = [small] * 63 + [large] * 3 + [small, large] * 3
    made = batches(waiting, BatchBounds(encrypted_by="kitchen" if sealed else ""))
    assert all(len(one.packed(seal).payload) <= MOST_BYTES or len(one.messages) == 1 for one in made)
    assert [message for one in made for message in one.messages] == waiting


@pytest.mark.parametrize("size_bytes", [230, 231, 232, 5_000])
def test_no_message_takes_more_of_a_batch_than_is_counted(size_bytes: int) -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    header = Header(1, "d" * 64, "2026-11-05T06:07:08.009Z", "c0ffeec0ffee", (1 << 63) - 1, True)
    told = Message("event", encode(header, Event("model.active", "info", "x" * size_bytes)), 1)
    for bounds, seal in (
        (BatchBounds(), None),
        (BatchBounds(encrypted_by=header.device), PayloadCipher(b"k" * 32).seal),
    ):
        taken = len(Batch((told, told)).packed(seal).payload) - len(Batch((told,)).packed(seal).payload)
        assert bounds.wants_bytes(told) - 30 <= taken <= bounds.wants_bytes(told)


def test_small_messages_still_fill_a_batch() -> None:
    assert len(batches([event(1, 230)] * 200)[0].messages) == MOST_TOGETHER


def test_a_batch_keeps_to_what_the_broker_takes() -> None:
    bounds = bounds_within(5_000, "inferd/kitchen/replay", "")
    made = batches([event(1)] * 100, bounds)
    assert max(len(one.packed(None).payload) for one in made) < 5_000 - len("inferd/kitchen/replay")


def test_a_batch_that_was_halved_away_holds_one() -> None:
    assert {len(one.messages) for one in batches([event(1)] * 3, BatchBounds().shrunk(15))} == {1}


def test_each_message_is_encrypted_by_itself_and_keeps_what_tells_a_repetition() -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    sealer = PayloadCipher(b"k" * 32)
    told = decode_missed(Batch((event(7), event(8))).packed(sealer.seal).payload)
    headers = [msgspec.json.decode(one.message, type=Header) for one in told]
    assert [(one.device, one.boot_id, one.seq) for one in headers] == [("kitchen", "c0ffeec0ffee", n) for n in (7, 8)]
    assert b"model.active" not in b"".join(bytes(one.message) for one in told)
    assert [sealer.open(bytes(one.message)) for one in told] == [event(7).payload, event(8).payload]


def test_what_the_spool_has_kept_keeps_its_topic_and_its_numbers() -> None:
    batch = batch_of([Record(4, "event", 0.0, "event", b"{}"), Record(6, "result", 0.0, "cam/result", b"{}")])
    assert batch.numbers == (4, 6)
    assert [one.topic for one in decode_missed(batch.packed(None).payload)] == ["event", "cam/result"]
