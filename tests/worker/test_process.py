"""The worker's main thread, as control meets it: by what it is told, and what it answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.fake_pipeline import fake, pipeline
from inferd import ipc
from inferd.config import settings
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.processes.heartbeats import Heartbeats
from inferd.system.threads import join_all, start
from inferd.vet.child import describe_fake
from inferd.wire.manifest import ModelDescription
from inferd.worker.outbound import Outbound, ToControl
from inferd.worker.pipeline_threads import WorkerContext
from inferd.worker.process import Worker

FPS, RESULTS = 50, 60  # of which enough are kept for a model that says one thing to look suspicious
REMEMBERS = "VAR_HANDLE"  # an operator
KEY, NEW = "fake", "1" * 64


class Told:
    """A worker on a thread of its own, and the end of the channel that control holds."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        self._theirs: ToControl = Channel(theirs, ipc.ToWorker)  # type: ignore[arg-type]  # a union
        self.channel: Channel[ipc.FromWorker, ipc.ToWorker] = Channel(ours, ipc.FromWorker)  # type: ignore[arg-type]  # as above
        self.progress = Heartbeats.create()
        self.heard: list[ipc.FromWorker] = []
        worker = Worker(WorkerContext(SystemClock(), Outbound(self._theirs)), self._theirs, self.progress)
        self.thread = start("worker", lambda: self._run(worker))
        self.ended = False

    def _run(self, worker: Worker) -> None:
        self.ended = worker.run() == []

    def serves(self, behaviour: settings.EngineConfig, ops: str = "ADD") -> None:
        """Have it serve the model on trial, and keep what it shows that one, for as long as a replay needs."""
        cam = pipeline(engine=behaviour, pace=settings.Pace(mode="fixed", fps=FPS))
        self.channel.send(ipc.Plan((ipc.Assignment(KEY, 1, (cam,)),)))
        self.channel.send(ipc.Offer(KEY, described(behaviour, ops=ops), behaviour, replay_mb=8.0))
        assert wait_for(lambda: len(self.says(ipc.ResultReported)) > RESULTS)

    def asks(self, before: settings.EngineConfig, ops: str = "ADD") -> None:
        """Ask it to show this model what the one on trial was shown."""
        self.channel.send(ipc.ShadowReplay(KEY, NEW, described(before, ops=ops), before))

    def says(self, kind: type[ipc.FromWorker]) -> list[ipc.FromWorker]:
        """Return what it has said so far, of one kind."""
        while (received := self.channel.receive(0)) is not None:
            self.heard.append(received[0])
        return [one for one in self.heard if isinstance(one, kind)]


def described(engine: settings.EngineConfig, ops: str = "ADD") -> ModelDescription:
    """Return the description of a fake that is known by a digest of its own."""
    made = describe_fake(ipc.Examine("fake", settings.Overrides(), engine, ""))
    facts = msgspec.structs.replace(made.facts, ops={ops: 1})
    return msgspec.structs.replace(made, ref=msgspec.structs.replace(made.ref, digest=NEW), facts=facts)


@contextmanager
def worker() -> Iterator[Told]:
    told = Told()
    try:
        yield told
    finally:
        told.channel.send(ipc.Stop())
        assert join_all([told.thread], 10.0) == []
        assert told.ended


def test_a_question_about_a_key_that_is_gone_is_let_go_of() -> None:
    reads, writes = os.pipe()
    with worker() as told:
        told.channel.send(ipc.ShadowReplay("gone", NEW, described(fake()), fake()), [writes])
        os.close(writes)
        assert os.read(reads, 1) == b""  # the worker has closed it
        assert wait_for(partial(told.says, ipc.Counts))
    os.close(reads)


@pytest.mark.parametrize(
    ("trial", "before", "found"),
    [("ADD", "ADD", "differs"), (REMEMBERS, "ADD", "unknown"), ("ADD", REMEMBERS, "unknown")],
)
def test_a_replay_settles_what_depends_on_no_other_frames(trial: str, before: str, found: str) -> None:
    with worker() as told:
        told.serves(fake(), ops=trial)
        told.asks(fake(scores=(0.9, 0.1)), ops=before)
        assert wait_for(lambda: bool(told.says(ipc.ShadowReplayDone)))
        (answer,) = told.says(ipc.ShadowReplayDone)
        assert isinstance(answer, ipc.ShadowReplayDone)
        assert (answer.digest, answer.found) == (NEW, found), answer.why


def test_a_worker_that_replays_goes_on_to_count_and_ends_when_it_is_told_to() -> None:
    with worker() as told:
        told.serves(fake())
        counted = len(told.says(ipc.Counts))
        told.asks(fake(scores=(0.9, 0.1), invoke_ms=200.0))
        assert wait_for(lambda: len(told.says(ipc.Counts)) > counted + 1)
    assert told.says(ipc.ShadowReplayDone) == []
