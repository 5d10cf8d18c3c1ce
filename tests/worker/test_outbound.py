"""Who speaks for a pipeline: the engine that it has now, and none that it had."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.agents.fake_pipeline import pipeline, serving
from inferd import ipc
from inferd.pipeline import PipelineQueue
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.threads import Condition
from inferd.worker.outbound import LoopOutbound, Outbound, PipelineOutbound, ToControl


class Two:
    """An engine that serves two pipelines, and what control hears of them."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        to_control: ToControl = Channel(ours, ipc.ToWorker)  # type: ignore[arg-type]  # a union
        self._control: Channel[ipc.FromWorker, ipc.Stop] = Channel(theirs, ipc.FromWorker)  # type: ignore[arg-type]  # as above
        teller = Outbound(to_control)
        self.voices = {name: PipelineOutbound(name, teller) for name in ("stays", "leaves")}
        for voice in self.voices.values():
            voice.source("running", "")
            voice.engine("running", "")
        self.listener = LoopOutbound("one", self.voices, teller)
        self.heard()

    def leave(self) -> None:
        """Have one pipeline go on elsewhere."""
        self.listener.follow({"stays": self.voices["stays"]})

    def heard(self) -> set[str]:
        """Return whose state was told since the last time."""
        told = []
        while (received := self._control.receive(0)) is not None:
            told.append(received[0])
        return {one.pipeline for one in told if isinstance(one, ipc.Status)}


LOSSES: tuple[Callable[[LoopOutbound], None], ...] = (
    lambda listener: listener.left(serving()),
    lambda listener: listener.fell_back(serving(), None, "unplugged"),
)


@pytest.mark.parametrize("lose", LOSSES, ids=["a model makes room", "an accelerator fails"])
def test_what_happens_to_an_engine_is_told_of_all_its_pipelines(lose: Callable[[LoopOutbound], None]) -> None:
    two = Two()
    lose(two.listener)
    assert two.heard() == {"stays", "leaves"}


@pytest.mark.parametrize("lose", LOSSES, ids=["a model makes room", "an accelerator fails"])
def test_what_happens_to_an_engine_is_not_told_of_a_pipeline_that_has_left_it(
    lose: Callable[[LoopOutbound], None],
) -> None:
    two = Two()
    two.leave()
    lose(two.listener)
    assert two.heard() == {"stays"}


def test_a_frame_that_was_under_way_when_its_pipeline_left_says_nothing_of_it() -> None:
    two = Two()
    lane = PipelineQueue(pipeline("leaves"), Condition())
    two.leave()
    two.listener.fault(lane, "engine_error", "it refused")
    assert two.heard() == set()
    two.listener.running(lane)
    assert two.heard() == set()
