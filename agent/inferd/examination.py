"""Asking a vet child about a model, and making a verdict of its report and of how it ended."""

from __future__ import annotations

import os
from dataclasses import dataclass

from inferd import ipc
from inferd.errors import ModelRefused, WorkerError
from inferd.records import EngineInfo
from inferd.system.channel import Channel, channel_pair
from inferd.system.processes import Exit, Limits
from inferd.system.seed import Child, Seed
from inferd.wire.manifest import ModelDescription

# What a seed imports once, so that no child has to: whatever is not installed is left out and told.
PRELOAD = (
    "numpy",
    "cv2",
    "ai_edge_litert.interpreter",
    "inferd.runtime.litert",
    "inferd.worker",
    "inferd.vet",
    "inferd.oneshot",
)
ENVIRONMENT = {
    # One thread each: a fork of a process with threads inherits their locks, and the runtime brings its own threads.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Read when cv2 is imported: what is wrong with a picture or a video is in our own sentences already.
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
LOAD_S = 120.0  # what a person at a terminal lets a model take, unless told otherwise
LIMITS = Limits(nice=10, oom_score_adj=800)  # a vet child must never win against the model that serves


@dataclass(frozen=True, slots=True)
class Accepted:
    """A model that loads, runs and lets itself be freed.

    Attributes:
        description: what it is.
        info: how it ran.
        blob_fd: a read-only descriptor of its file, the holder's to close; None for a fake engine.
    """

    description: ModelDescription
    info: EngineInfo
    blob_fd: int | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A model that is refused, and why; `description` is what could be read of it anyway."""

    error: ModelRefused
    description: ModelDescription | None = None


class Examination:
    """A vet child at work. Owned by the asker's thread, which waits for the child's end and then asks for the verdict."""

    def __init__(self, seed: Seed, request: ipc.Examine) -> None:
        """Fork the child and put the question.

        Raises:
            WorkerError: the seed is gone.
        """
        ours, theirs = channel_pair()
        self._request = request
        self._timed_out = False
        self._channel: Channel[ipc.FromVet, ipc.Examine] = Channel(ours, ipc.FromVet)  # type: ignore[arg-type]  # a union
        try:
            self.child: Child = seed.fork("inferd.vet:main", "inferd-vet", [theirs.fileno()], LIMITS)
        finally:
            theirs.close()
        self._channel.send(request)

    def give_up(self) -> None:
        """Kill a child that takes too long; its verdict will say so."""
        self._timed_out = True
        self.child.kill()

    def conclude(self, ended: Exit) -> Accepted | Rejected:
        """Return the verdict, once the child has ended."""
        try:
            received = self._channel.receive(0)
        except WorkerError:
            received = None
        finally:
            self._channel.close()
            self.child.close()
        if received is None:
            return self._refuse(self._how_it_died(ended))
        report, fds = received
        if isinstance(report, ipc.ExamineFailed):
            return Rejected(ModelRefused(report.part, report.why), report.description)
        if not ended.ok:
            _close(fds)
            return self._refuse(
                f"it runs, but corrupts memory: the process that tried it {ended.sentence} when it let it go",
                report.description,
            )
        return Accepted(report.description, report.info, fds[0] if fds else None)

    def _how_it_died(self, ended: Exit) -> str:
        if self._timed_out:
            return "it did not load and run in the time it has; the process that tried it was killed"
        return f"it cannot be loaded safely: the process that tried it {ended.sentence}"

    def _refuse(self, why: str, description: ModelDescription | None = None) -> Rejected:
        return Rejected(ModelRefused(os.path.basename(self._request.path), why), description)  # noqa: PTH119


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def examine(seed: Seed, request: ipc.Examine, timeout_s: float) -> Accepted | Rejected:
    """Examine a model and wait for the verdict.

    Raises:
        WorkerError: the seed died.
    """
    examination = Examination(seed, request)
    ended = seed.wait_exit(examination.child, timeout_s)
    if ended is None:
        examination.give_up()
        ended = seed.wait_exit(examination.child, 2.0)
    if ended is None:
        raise WorkerError("vet child", "not even SIGKILL ends it; the kernel holds it in a driver")
    return examination.conclude(ended)
