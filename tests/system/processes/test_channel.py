from __future__ import annotations

import os

import msgspec
import pytest

from inferd.errors import WorkerError
from inferd.system.processes.channel import PACKET_BYTES, Channel, ChannelClosed, channel_pair


class Said(msgspec.Struct, frozen=True, tag=True):
    """A message for these tests."""

    text: str


class Other(msgspec.Struct, frozen=True, tag=True):
    """A message that nobody expects."""


Both = tuple[Channel[Said, Said], Channel[Said, Said]]


@pytest.fixture
def ends() -> Both:
    ours, theirs = channel_pair()
    return Channel(ours, Said), Channel(theirs, Said)


def test_a_message_arrives_as_it_was_sent(ends: Both) -> None:
    ends[0].send(Said("hello"))
    assert ends[1].receive(1) == (Said("hello"), [])


def test_messages_keep_their_order_and_their_borders(ends: Both) -> None:
    for text in ("one", "two", "three"):
        ends[0].send(Said(text))
    assert [message[0].text for _ in range(3) if (message := ends[1].receive(1))] == ["one", "two", "three"]


def test_a_message_larger_than_a_packet_arrives_whole(ends: Both) -> None:
    large = Said("x" * (5 * PACKET_BYTES))
    ends[0].send(large)
    assert ends[1].receive(1) == (large, [])


def test_a_descriptor_travels_beside_its_message(ends: Both) -> None:
    read, write = os.pipe()
    ends[0].send(Said("here"), [write])
    received = ends[1].receive(1)
    assert received is not None
    os.write(received[1][0], b"through")
    assert os.read(read, 10) == b"through"


def test_nothing_comes_where_nothing_was_sent(ends: Both) -> None:
    assert ends[0].receive(0) is None


def test_an_offer_to_a_full_channel_is_counted_and_does_not_wait(ends: Both) -> None:
    offered = 0
    while ends[0].offer(Said("x" * 1000)):
        offered += 1
    assert offered > 10
    assert ends[0].refused == 1


def test_what_was_sent_before_the_other_end_closed_still_arrives(ends: Both) -> None:
    ends[0].send(Said("last words"))
    ends[0].close()
    assert ends[1].receive(1) == (Said("last words"), [])
    with pytest.raises(ChannelClosed):
        ends[1].receive(1)


def test_sending_to_a_closed_end_is_a_named_error(ends: Both) -> None:
    ends[1].close()
    with pytest.raises(ChannelClosed, match="the other process is gone"):
        ends[0].send(Said("anyone?"))


def test_a_message_of_another_kind_is_refused() -> None:
    ours, theirs = channel_pair()
    sender: Channel[Said, Other] = Channel(ours, Said)
    receiver: Channel[Said, Said] = Channel(theirs, Said)
    sender.send(Other())
    with pytest.raises(WorkerError, match="sent nonsense"):
        receiver.receive(1)
