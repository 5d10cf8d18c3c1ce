"""A worker with memory for one model only: what serves makes room before the next one is loaded, and that is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.fake_pipeline import fake, pipeline
from inferd import ipc
from inferd.config import settings
from inferd.errors import InferdError
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.processes.heartbeats import Heartbeats
from inferd.vet.child import describe_fake
from inferd.worker.engine_thread import SPARE_MB, EngineThread
from inferd.worker.outbound import Outbound, ToControl
from inferd.worker.pipeline_threads import WorkerContext

NEEDS_MB = 100.0
FOR_ONE, FOR_TWO = NEEDS_MB + SPARE_MB - 1, NEEDS_MB + SPARE_MB + 1


class Told:
    """A group with so much memory free, and all that it told control."""

    def __init__(self, free_mb: float) -> None:
        ours, theirs = channel_pair()
        to_control: ToControl = Channel(ours, ipc.ToWorker)  # type: ignore[arg-type]  # a union
        self._from_worker: Channel[ipc.FromWorker, ipc.Stop] = Channel(theirs, ipc.FromWorker)  # type: ignore[arg-type]  # as above
        context = WorkerContext(SystemClock(), Outbound(to_control), available_bytes=lambda: int(free_mb * 1e6))
        self.messages: list[ipc.FromWorker] = []
        self.group = EngineThread(
            "fake", [pipeline(pace=settings.Pace(mode="fixed", fps=50))], Heartbeats.create().slot(1), context
        )

    def hear(self) -> list[ipc.FromWorker]:
        """Return all that was told so far."""
        while (received := self._from_worker.receive(0)) is not None:
            self.messages.append(received[0])
        return self.messages

    def serves(self, name: str) -> bool:
        """Whether a model of that name was taken, and gave a result after that."""
        said = self.hear()
        taken = [index for index, one in enumerate(said) if isinstance(one, ipc.OfferTaken) and one.ref.name == name]
        return bool(taken) and any(
            isinstance(one, ipc.ResultReported) and one.ref.name == name for one in said[taken[-1] :]
        )

    def waited(self) -> bool:
        """Whether it was told that there is no memory for two."""
        return any(isinstance(one, ipc.Status) and "no memory for two" in one.why for one in self.hear())


@contextmanager
def group(free_mb: float) -> Iterator[Told]:
    told = Told(free_mb)
    try:
        yield told
    finally:
        assert told.group.stop(5.0) == []


def offer(folder: Path, name: str, text: str = "") -> tuple[ipc.Offer, str]:
    """Return the offer of a fake model, and its file."""
    path = folder / f"{name}.tflite"
    path.write_text(f"# {name}\n{text}\n")
    description = describe_fake(ipc.Examine(str(path), settings.Overrides(), fake(), ""))
    description = msgspec.structs.replace(description, ref=msgspec.structs.replace(description.ref, name=name))
    return ipc.Offer("fake", description, fake(), needs_mb=NEEDS_MB), str(path)


def test_where_two_models_fit_the_old_one_serves_until_the_new_one_is_ready(tmp_path: Path) -> None:
    with group(FOR_TWO) as told:
        for name in ("first", "second"):
            told.group.load(*offer(tmp_path, name), "")
            assert wait_for(partial(told.serves, name))
        assert not told.waited()


def test_where_they_do_not_the_old_one_ends_first_and_that_is_told(tmp_path: Path) -> None:
    with group(FOR_ONE) as told:
        for name in ("first", "second"):
            told.group.load(*offer(tmp_path, name), "")
            assert wait_for(partial(told.serves, name))
        assert told.waited()
        taken = [one for one in told.messages if isinstance(one, ipc.OfferTaken)]
        assert [one.swapped for one in taken] == [False, True]
        assert taken[1].pause_ms > 0


def test_the_first_model_makes_nobody_wait(tmp_path: Path) -> None:
    with group(FOR_ONE) as told:
        told.group.load(*offer(tmp_path, "first"), "")
        assert wait_for(lambda: told.serves("first"))
        assert not told.waited()


def test_where_the_new_one_does_not_load_the_old_one_serves_again_when_it_is_offered_again(tmp_path: Path) -> None:
    with group(FOR_ONE) as told:
        told.group.load(*offer(tmp_path, "first"), "")
        assert wait_for(lambda: told.serves("first"))
        with pytest.raises(InferdError):
            told.group.load(*offer(tmp_path, "second", "scores = 7"), "")
        told.messages.clear()
        told.group.load(*offer(tmp_path, "first"), "")
        assert wait_for(lambda: told.serves("first"))
