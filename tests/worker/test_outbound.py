"""Who speaks for a pipeline: the engine that it has now, and none that it had."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.agents.fake_pipeline import pipeline, serving
from inferd import ipc
from inferd.pipeline import PipelineQueue
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.threads import Condition
from inferd.worker.outbound import LoopOutbound, Outbound, StatusReporter, ToControl


class Two:
    """An engine that serves two pipelines, and what control hears of them."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        to_control: ToControl = Channel(ours, ipc.ToWorker)  # type: ignore[arg-type]  # a union
        self._control: Channel[ipc.FromWorker, ipc.Stop] = Channel(theirs, ipc.FromWorker)  # type: ignore[arg-type]  # as above
        outbound = Outbound(to_control)
        self.statuses = {name: StatusReporter(name, outbound) for name in ("stays", "leaves")}
        for status in self.statuses.values():
            status.set_source("running", "")
            status.set_engine("running", "")
        self.observer = LoopOutbound("one", self.statuses, outbound)
        self.heard()

    def leave(self) -> None:
        """Have one pipeline go on elsewhere."""
        self.observer.set_statuses({"stays": self.statuses["stays"]})

    def heard(self) -> set[str]:
        """Return whose state was told since the last time."""
        told = []
        while (received := self._control.receive(0)) is not None:
            told.append(received[0])
        return {one.pipeline for one in told if isinstance(one, ipc.Status)}


LOSSES: tuple[Callable[[LoopOutbound], None], ...] = (
    lambda observer: observer.engine_released(serving()),
    lambda observer: observer.fell_back(serving(), None, "unplugged"),
)


@pytest.mark.parametrize("lose", LOSSES, ids=["a model makes room", "an accelerator fails"])
def test_what_happens_to_an_engine_is_told_of_all_its_pipelines(lose: Callable[[LoopOutbound], None]) -> None:
    two = Two()
    lose(two.observer)
    assert two.heard() == {"stays", "leaves"}


@pytest.mark.parametrize("lose", LOSSES, ids=["a model makes room", "an accelerator fails"])
def test_what_happens_to_an_engine_is_not_told_of_a_pipeline_that_has_left_it(
    lose: Callable[[LoopOutbound], None],
) -> None:
    two = Two()
    two.leave()
    lose(two.observer)
    assert two.heard() == {"stays"}


def test_a_frame_that_was_under_way_when_its_pipeline_left_says_nothing_of_it() -> None:
    two = Two()
    queue = PipelineQueue(pipeline("leaves"), Condition())
    two.leave()
    two.observer.frame_failed(queue, "engine_error", "it refused")
    assert two.heard() == set()
    two.observer.frame_inferred(queue)
    assert two.heard() == set()


class Full:
    """A channel to control without room, until control reads."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        to_control: ToControl = Channel(ours, ipc.ToWorker)  # type: ignore[arg-type]  # a union
        self._control: Channel[ipc.FromWorker, ipc.Stop] = Channel(theirs, ipc.FromWorker)  # type: ignore[arg-type]  # as above
        self.outbound = Outbound(to_control)
        while to_control.offer(ipc.Status("cam", "running", "filling")):
            pass

    def read(self) -> list[ipc.FromWorker]:
        """Return all that control can read, but what filled the channel."""
        found = []
        while (received := self._control.receive(0)) is not None:
            found.append(received[0])
        return [one for one in found if not (isinstance(one, ipc.Status) and one.why == "filling")]


def test_a_message_that_must_arrive_waits_until_there_is_room() -> None:
    full = Full()
    must_arrive = ipc.Status("cam", "failed", "its model is gone")
    full.outbound.send(("status", "cam"), must_arrive)
    full.outbound.retry()
    assert full.outbound.waits(("status", "cam"))
    assert full.read() == []
    full.outbound.retry()
    assert full.read() == [must_arrive]
    assert not full.outbound.waits(("status", "cam"))


def test_of_messages_on_one_subject_that_wait_only_the_newest_arrives() -> None:
    full = Full()
    for why in ("first", "second"):
        full.outbound.send(("status", "cam"), ipc.Status("cam", "failed", why))
    full.read()
    full.outbound.retry()
    assert full.read() == [ipc.Status("cam", "failed", "second")]
