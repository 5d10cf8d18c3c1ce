"""Asking a vet child about a model, and making a verdict of its report and of how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, replace
from importlib import metadata

from inferd import ipc
from inferd.accelerators.table import by_file
from inferd.config.telemetry import MetricsConfig
from inferd.errors import ModelRefused, WorkerError
from inferd.meters.power.estimate import find_coefficients
from inferd.records import EngineInfo, Unavailable
from inferd.system import machine
from inferd.system.processes.channel import Channel, ChannelClosed, channel_pair
from inferd.system.processes.fork_server import Child, ForkServer
from inferd.system.processes.process import Exit, Limits
from inferd.wire.manifest import ModelDescription
from inferd.wire.vetting import GATES, GateResult, VetReport

# What a fork server imports once, so that no child has to: what is not installed is left out and reported.
PRELOAD = (
    "numpy",
    "cv2",
    "ai_edge_litert.interpreter",
    "inferd.runtime.litert",
    "inferd.worker.process",
    "inferd.vet.child",
    "inferd.worker.children.oneshot",
)
ENVIRONMENT = {
    # One thread each: a fork of a process with threads inherits their locks, and the runtime brings its own threads.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Read when cv2 is imported: what is wrong with a picture or a video is in our own sentences already.
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
RUNTIMES = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "pymicro-features")  # the last prepares what models hear
WRONG_PAIR = "a delegate that was built for another runtime does that; docs/accelerators.md names pairs that work"
KILLED = "killed"  # the code where a vet child's death may have another cause
LOAD_S = 120.0  # what a command line lets a model take by default
# A vet child must never win against the model that serves, and has nothing to do with a network.
# Against one busy neighbour on its core, 0.1 s of work took 11.7 s at nice 10, and more than 40 s at nice 19 and under
# SCHED_IDLE (two x86 cores under load, November 2026): a board that is always busy would never vet a model.
LIMITS = Limits(nice=10, oom_score_adj=800, file_mb=1100, alone=True)


def circumstances() -> str:
    """Return what a verdict holds for: runtimes and their versions, and the board. Imports none of them."""
    installed = []
    for distribution in RUNTIMES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed.append(f"{distribution} {metadata.version(distribution)}")
    here = machine.describe()
    return ", ".join([*installed, here.architecture, here.board or "no board"])


def core_w(metrics: MetricsConfig) -> float:
    """Return what a busy core of this board draws, by configuration or by what is known of it; 0 where that is not known."""
    known = find_coefficients(machine.describe().board or "", metrics.idle_w, metrics.core_w)
    return 0.0 if isinstance(known, Unavailable) else known.core_w


@dataclass(frozen=True, slots=True)
class Accepted:
    """A model that loads, runs and lets itself be freed.

    Attributes:
        description: what it is.
        info: how it ran.
        blob_fd: a read-only descriptor of its file, the holder's to close; None for a fake engine.
        root: where it lies below its bundle's folder in the store; "" where it was not stored.
        size_bytes: of all its files in the store.
        report: what the gates found.
        fallback: what the CPU runs where its accelerator fails; None where it has none, or needs none.
        fallback_fd: a read-only descriptor of that file, the holder's to close.
        private_mb: what it took in the vet child, beyond what children share.
    """

    description: ModelDescription
    info: EngineInfo
    blob_fd: int | None
    root: str = ""
    size_bytes: int = 0
    report: VetReport | None = None
    fallback: ModelDescription | None = None
    fallback_fd: int | None = None
    private_mb: float = 0.0

    def on_cpu(self) -> Accepted:
        """Return what the CPU runs: the CPU version if there is one. The holder keeps both descriptors."""
        return self if self.fallback is None else replace(self, description=self.fallback, blob_fd=self.fallback_fd)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A model that is refused, and why.

    Attributes:
        error: the sentence.
        description: what could be read of it anyway.
        code: the reason in a word.
        again: whether it is not the model's fault, so that it is tried again.
        report: what the gates found.
    """

    error: ModelRefused
    description: ModelDescription | None = None
    code: str = ""
    again: bool = False
    report: VetReport | None = None


class VetJob:
    """A vet child at work. Owned by the asker's thread, which waits for the child's end and then asks for the verdict."""

    def __init__(self, fork_server: ForkServer, request: ipc.Examine, limits: Limits = LIMITS) -> None:
        """Fork the child and put the question.

        Raises:
            WorkerError: the fork server is gone.
        """
        ours, theirs = channel_pair()
        self._request = request
        self._timed_out = False
        self._gates: list[GateResult] = []
        self._channel: Channel[ipc.FromVet, ipc.Examine] = Channel(ours, ipc.FromVet)  # type: ignore[arg-type]  # a union
        try:
            self.child: Child = fork_server.fork("inferd.vet.child:main", "inferd-vet", [theirs.fileno()], limits)
        finally:
            theirs.close()
        with contextlib.suppress(ChannelClosed):  # a child that is dead already tells by its end
            self._channel.send(request)

    @property
    def request(self) -> ipc.Examine:
        """What was asked."""
        return self._request

    def give_up(self) -> None:
        """Kill a child that takes too long; its verdict will say so."""
        self._timed_out = True
        self.child.kill()

    def conclude(self, ended: Exit) -> Accepted | Rejected:
        """Return the verdict, once the child has ended."""
        answer, fds = self._hear_out()
        if isinstance(answer, ipc.ExamineFailed):
            _close(fds)
            return self._refuse(answer.why, answer.code, answer.description, part=answer.part, again=answer.again)
        was_through = len(self._gates) == len(GATES) and self._gates[-1].finding != "fail"
        if ended.signal == signal.SIGKILL or (answer is None and not was_through):
            _close(fds)
            return self._refuse(*self._how_it_died(ended))
        if answer is None or not ended.ok:
            _close(fds)
            return self._refuse(
                f"it runs, but corrupts memory: the process that tried it {ended.sentence} when it let it go",
                "corrupts_memory",
                answer.description if answer else None,
            )
        report = self._report(
            answer.description, f"{answer.info.runtime} {answer.info.runtime_version}", verified=answer.verified
        )
        fd, fallback_fd = (*fds, None, None)[:2]
        return Accepted(
            answer.description,
            answer.info,
            fd,
            answer.root,
            answer.size_bytes,
            report,
            answer.fallback,
            fallback_fd,
            answer.private_mb,
        )

    def _hear_out(self) -> tuple[ipc.Examined | ipc.ExamineFailed | None, list[int]]:
        """Return the child's last message and its descriptors; None where it died before it."""
        try:
            while (received := self._channel.receive(0)) is not None:
                message, fds = received
                if not isinstance(message, ipc.GateJudged):
                    return message, fds
                self._gates.append(message.gate)
        except WorkerError:
            pass
        finally:
            self._channel.close()
            self.child.close()
        return None, []

    def _how_it_died(self, ended: Exit) -> tuple[str, str]:
        """Return the sentence and the word for a child that ended before it was done."""
        if self._timed_out:
            return "it did not load and run in the time it has; the process that tried it was killed", "hang"
        if ended.signal == signal.SIGXCPU:
            return "it took more processor time than it may; see vet_deadline_s under [models]", "hang"
        if ended.signal == signal.SIGKILL:
            return "the process that tried it was killed by SIGKILL: for want of memory, or from outside", KILLED
        asked = self._request.engine.delegate or by_file(self._request.path)
        hint = f"; {WRONG_PAIR}" if asked else ""
        return f"it cannot be loaded safely: the process that tried it {ended.sentence}{hint}", "crash"

    def _refuse(
        self,
        why: str,
        code: str,
        description: ModelDescription | None = None,
        *,
        part: str = "",
        again: bool = False,
    ) -> Rejected:
        part = part or os.path.basename(self._request.path)  # noqa: PTH119 - a name, not a file
        report = self._report(description, "", verified=False, code=code, why=why)
        return Rejected(ModelRefused(part, why), description, code, again, report)

    def _report(
        self,
        description: ModelDescription | None,
        runtime: str,
        *,
        verified: bool,
        code: str = "",
        why: str = "",
    ) -> VetReport:
        """Return all that was found; what ended the child is laid to the gate that was being tried."""
        gates = tuple(self._gates)
        if code and not any(gate.finding == "fail" for gate in gates):
            name = GATES[min(len(gates), len(GATES) - 1)] if description or gates else "integrity"
            gates = (*gates, GateResult(name, "fail", code, why))
        title = description.ref.title if description else os.path.basename(self._request.path)  # noqa: PTH119 - a name
        digest = description.ref.digest if description else ""
        against = os.path.basename(self._request.against)  # noqa: PTH119 - a name
        return VetReport(title, digest, against, runtime, not code, verified, gates)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def examine(
    fork_server: ForkServer, request: ipc.Examine, timeout_s: float, limits: Limits = LIMITS
) -> Accepted | Rejected:
    """Examine a model and wait for the verdict.

    Raises:
        WorkerError: the fork server died.
    """
    examination = VetJob(fork_server, request, limits)
    ended = fork_server.wait_exit(examination.child, timeout_s)
    if ended is None:
        examination.give_up()
        ended = fork_server.wait_exit(examination.child, 2.0)
    if ended is None:
        raise WorkerError("vet child", "not even SIGKILL ends it; the kernel holds it in a driver")
    return examination.conclude(ended)
