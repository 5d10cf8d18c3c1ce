"""Messages that must arrive wait without blocking, each subject's newest, in order, with their descriptors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.processes.latest_sender import LatestSender


class Told(msgspec.Struct, frozen=True, tag=True):
    """A message for these tests."""

    text: str


class Ends:
    """A sender, and the other end of its channel."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        self.channel: Channel[Told, Told] = Channel(ours, Told)
        self.other: Channel[Told, Told] = Channel(theirs, Told)
        self.sender = LatestSender(self.channel)

    def fill(self) -> None:
        while self.channel.offer(Told("x" * 10_000)):
            pass

    def received(self) -> list[str]:
        """Return what arrives now, without what filled the channel."""
        arrived = []
        while (received := self.other.receive(0)) is not None:
            arrived.append(received[0].text)
            for fd in received[1]:
                os.close(fd)
        return [text for text in arrived if not text.startswith("x")]


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.sender.close()
    made.channel.close()
    made.other.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_with_room_a_message_is_sent_at_once(ends: Ends) -> None:
    ends.sender.send(("plan",), Told("plan"))
    assert ends.received() == ["plan"]


def test_a_message_for_a_full_channel_arrives_once_there_is_room(ends: Ends) -> None:
    ends.fill()
    ends.sender.send(("offer", "a"), Told("offer a"))
    ends.sender.retry()
    assert ends.received() == []
    ends.sender.retry()
    assert ends.received() == ["offer a"]


def test_only_the_newest_of_a_subject_arrives_and_subjects_keep_their_order(ends: Ends) -> None:
    ends.fill()
    for subject, text in (("plan", "plan 1"), ("a", "offer a"), ("plan", "plan 2"), ("b", "offer b")):
        ends.sender.send((subject,), Told(text))
    ends.received()
    ends.sender.retry()
    assert ends.received() == ["plan 2", "offer a", "offer b"]


def test_a_message_does_not_overtake_those_that_wait(ends: Ends) -> None:
    ends.fill()
    ends.sender.send(("a",), Told("first"))
    ends.received()
    ends.sender.send(("b",), Told("second"))
    ends.sender.retry()
    assert ends.received() == ["first", "second"]


def test_descriptors_wait_with_their_message_though_the_caller_closes_them(ends: Ends) -> None:
    ends.fill()
    read, write = os.pipe()
    ends.sender.send(("a",), Told("here"), [write])
    os.close(write)
    while ends.other.receive(0) is not None:
        pass
    ends.sender.retry()
    received = ends.other.receive(1)
    assert received is not None
    os.write(received[1][0], b"through")
    assert os.read(read, 10) == b"through"
    os.close(read)
    os.close(received[1][0])


def test_no_descriptor_is_left_open(ends: Ends) -> None:
    ends.fill()
    before = descriptors()
    read, write = os.pipe()
    for subject in ("a", "a", "b"):
        ends.sender.send((subject,), Told("offer"), [write])
    ends.received()
    ends.sender.retry()
    ends.received()
    ends.fill()
    ends.sender.send(("c",), Told("offer"), [write])
    ends.sender.close()
    os.close(read)
    os.close(write)
    assert descriptors() == before
