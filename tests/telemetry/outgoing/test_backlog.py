"""What the spool has leaves in batches, and leaves it when the broker has acknowledged them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.network import broker
from inferd.records import Message
from inferd.system.clock import CountingClock
from inferd.telemetry.outgoing.backlog import Backlog
from inferd.telemetry.outgoing.batches import MOST_TOGETHER, Batch, BatchBounds
from inferd.telemetry.spool.spool import SpoolLocation

COUNT = 100


class Shop:
    """A stock in which everything has missed its moment."""

    def __init__(self, folder: Path) -> None:
        self._place = SpoolLocation(folder / "spool", folder / "run", 10**6, 0.01)
        self.stock = self._opened()
        for number in range(COUNT):
            self.stock.put(Message("event", b"%d" % number, 1, lane="event"))

    def take(self) -> Batch:
        """Return the next batch, which the disk may have to be asked for."""
        taken: list[Batch] = []

        def came() -> bool:
            assert self.stock.next_live(window=True) is None
            batch = self.stock.next_missed([], BatchBounds())
            taken.extend([batch] if batch else [])
            return bool(taken)

        broker.eventually(came, "a batch")
        return taken[0]

    def open_again(self) -> None:
        self.stock.close(5.0)
        self.stock = self._opened()

    def _opened(self) -> Backlog:
        return Backlog(10, self._place, CountingClock(), -1.0, lambda: None)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.stock.close(5.0)


def payloads(*batches: Batch) -> list[bytes]:
    return [message.payload for batch in batches for message in batch.messages]


def test_everything_leaves_once_and_in_order(shop: Shop) -> None:
    batches: list[Batch] = []
    while len(payloads(*batches)) < COUNT:
        batches.append(shop.take())
    assert payloads(*batches) == [b"%d" % number for number in range(COUNT)]
    assert len(batches[0].messages) == MOST_TOGETHER


def test_a_batch_that_was_not_acknowledged_leaves_again_as_it_was(shop: Shop) -> None:
    lost = shop.take()
    shop.stock.lost([lost])
    assert shop.take().messages[0] == lost.messages[0]


def test_of_a_batch_that_was_acknowledged_nothing_is_left_over_a_restart(shop: Shop) -> None:
    delivered = shop.take()
    shop.stock.delivered(delivered)
    shop.open_again()
    assert payloads(shop.take())[0] == b"%d" % len(delivered.messages)
