from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from inferd.errors import WorkerError
from inferd.system.processes.channel import IN_FILE, MESSAGE_BYTES, PACKET_BYTES, Channel, ChannelClosed, channel_pair


class Said(msgspec.Struct, frozen=True, tag=True):
    """A message for these tests."""

    text: str


class Other(msgspec.Struct, frozen=True, tag=True):
    """A message that nobody expects."""


Both = tuple[Channel[Said, Said], Channel[Said, Said]]


@contextmanager
def no_free_descriptors() -> Iterator[None]:
    """Allow this process no more descriptors than it has."""
    lowest = os.dup(0)  # the lowest free number: with it as the limit no new one can be opened
    os.close(lowest)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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


def fill(end: Channel[Said, Said]) -> None:
    while end.offer(Said("x" * 1000)):
        pass


@pytest.mark.parametrize(
    ("size", "descriptors"),
    [(5 * PACKET_BYTES, 0), (10, 1), (5 * PACKET_BYTES, 2)],
    ids=["large", "descriptor", "both"],
)
def test_an_offer_of_a_large_message_or_a_descriptor_never_waits(ends: Both, size: int, descriptors: int) -> None:
    fill(ends[0])
    read, write = os.pipe()
    done = threading.Event()
    results = []

    def offer() -> None:
        results.append(ends[0].offer(Said("x" * size), [read, write][:descriptors]))
        done.set()

    threading.Thread(target=offer, daemon=True).start()
    assert done.wait(5)
    assert (results, ends[0].refused) == ([False], 2)


def test_an_offer_arrives_large_and_with_descriptors(ends: Both) -> None:
    read, write = os.pipe()
    large = Said("x" * (5 * PACKET_BYTES))
    assert ends[0].offer(large, [write])
    received = ends[1].receive(1)
    assert received is not None
    assert received[0] == large
    os.write(received[1][0], b"through")
    assert os.read(read, 10) == b"through"


def test_an_offer_without_a_free_descriptor_is_refused_and_a_send_is_a_named_error(ends: Both) -> None:
    large = Said("x" * (5 * PACKET_BYTES))
    with no_free_descriptors():
        assert not ends[0].offer(large)
        with pytest.raises(WorkerError, match=r"cannot send a message of [\d,]+ bytes \(Too many open files\)"):
            ends[0].send(large)


def test_a_name_that_is_not_utf8_is_a_named_error_and_never_offered(ends: Both) -> None:
    foreign = Said(os.fsdecode(b"/models/f\xfcr.tflite"))
    with pytest.raises(WorkerError, match=r"the name /models/f\\xfcr.tflite is not UTF-8; rename"):
        ends[0].send(foreign)
    assert not ends[0].offer(foreign)


def test_a_receiver_without_a_free_descriptor_gets_a_named_error(ends: Both) -> None:
    read, write = os.pipe()
    ends[0].send(Said("here"), [read, write])
    with no_free_descriptors(), pytest.raises(WorkerError, match="more open files than this process may have"):
        ends[1].receive(1)


def test_a_message_beyond_the_bound_is_refused_and_its_descriptors_are_closed() -> None:
    ours, theirs = channel_pair()
    beside, other = os.pipe()
    file = os.memfd_create("too large")
    os.truncate(file, MESSAGE_BYTES + 1)
    open_before = open_descriptors()
    socket.send_fds(ours, [IN_FILE], [file, beside])
    with pytest.raises(WorkerError, match="more than is accepted"):
        Channel[Said, Said](theirs, Said).receive(1)
    assert open_descriptors() == open_before
    for fd in (beside, other, file):
        os.close(fd)


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
    with pytest.raises(WorkerError, match="sent an invalid message"):
        receiver.receive(1)
