"""A model for an accelerator: whether it or its CPU version serves, and the children that probe and recover its device."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inferd import ipc
from inferd.accelerators.accelerator import RecoveryStep
from inferd.accelerators.table import by_delegate, recovery_of
from inferd.config import settings
from inferd.control.accelerators.fallback_rules import AcceleratorStatus, fell, rose
from inferd.control.processes.vet_job import WRONG_PAIR, Accepted
from inferd.engine_choice import fitting_engine
from inferd.errors import WorkerError
from inferd.system.memory import available_bytes
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.processes.fork_server import Child, ForkServer
from inferd.system.processes.process import Limits
from inferd.vet.cpu_fallback import on_cpu

# A warm model took 1.5 to 4 times its file on what we tried (packed weights, tensors); the rest stays for other processes.
WARM_FACTOR = 4
SPARE_BYTES = 64 << 20
PROBE_LIMITS = Limits(nice=10, oom_score_adj=800)  # unlike a vet child: libusb needs its sockets
ToChild = ipc.RecoverAccelerator | ipc.Probe
FromChild = ipc.RecoveryDone | ipc.Probed


@dataclass(slots=True)
class PendingChild:
    """A child that owes an answer, and its deadline."""

    child: Child
    channel: Channel[FromChild, ToChild]
    deadline_ns: int

    def answer(self, now_ns: int) -> FromChild | str | None:
        """Return its answer, or a sentence on how it ended without one; None while it runs."""
        if not self.child.wait_gone(0):
            if now_ns <= self.deadline_ns:
                return None
            self.child.kill()
            self.close()
            return "it did not answer in time, and the process that asked it was killed"
        try:
            received = self.channel.receive(0)
        except WorkerError:
            received = None
        self.close()
        if received is None:
            return f"the process that tried it died; {WRONG_PAIR}"
        return received[0]

    def close(self) -> None:
        """Release the child."""
        self.channel.close()
        self.child.close()


@dataclass(slots=True)
class AcceleratedModel:
    """One engine key whose model is for an accelerator. Owned by control's main thread.

    Attributes:
        accepted: what the vet child accepted: the model, and its CPU version if it has one.
        configured: the engine as configured.
        status: whether the accelerator serves.
        known: whether the accelerator was probed with this model, or took too long to answer.
        probe: the child that probes the accelerator.
        recovery: the child that runs a recovery step.
        started_ns: when the first probe was due.
        worker_on_cpu: whether the worker serves the CPU version, so that a new worker takes the accelerator over.
    """

    accepted: Accepted
    configured: settings.EngineConfig
    status: AcceleratorStatus = field(default_factory=AcceleratorStatus)
    known: bool = False
    probe: PendingChild | None = None
    recovery: PendingChild | None = None
    started_ns: int = 0
    worker_on_cpu: bool = False
    _recovered_attempt: int = 0

    @property
    def engine(self) -> settings.EngineConfig:
        """The engine that runs the model on its accelerator."""
        return fitting_engine(self.accepted.description, self.configured)

    @property
    def ladder(self) -> tuple[RecoveryStep, ...]:
        """The recovery steps of its accelerator."""
        return recovery_of(self.engine.delegate)

    @property
    def step(self) -> RecoveryStep:
        """What to do before the next attempt."""
        return self.status.step(self.ladder)

    @property
    def has_fallback(self) -> bool:
        """Whether there is a CPU version."""
        return self.accepted.fallback is not None

    @property
    def can_serve(self) -> bool:
        """Whether there is something to offer: the model, or its CPU version if the accelerator failed."""
        return self.known and (not self.status.down or self.has_fallback)

    def offer(self, key: str) -> tuple[ipc.Offer, list[int]]:
        """Return the offer of what is to serve, and its file descriptors."""
        accepted, fallback = self.accepted, self.accepted.fallback
        self.worker_on_cpu = self.status.down
        if self.status.down:
            assert fallback is not None  # noqa: S101 - see `can_serve`
            return ipc.Offer(key, fallback, on_cpu(self.configured), degraded=self.status.why), _fds(
                accepted.fallback_fd
            )
        if fallback is None or available_bytes() < WARM_FACTOR * fallback.facts.size_bytes + SPARE_BYTES:
            return ipc.Offer(key, accepted.description, self.engine), _fds(accepted.blob_fd)
        warm = ipc.FallbackOffer(fallback, on_cpu(self.configured))
        return ipc.Offer(key, accepted.description, self.engine, warm), _fds(accepted.blob_fd, accepted.fallback_fd)

    def fall(self, why: str, now_ns: int) -> None:
        """Record that the accelerator failed."""
        self.status, self.known = fell(self.status, why, now_ns), True

    def rise(self, now_ns: int) -> None:
        """Record that the accelerator runs the model."""
        self.status, self.known = rose(self.status, now_ns), True

    def start_probe(self, fork_server: ForkServer, deadline_ns: int) -> None:
        """Have a child try the model on the accelerator.

        Raises:
            WorkerError: the fork server is gone.
        """
        request = ipc.Probe(self.accepted.description.ref.name, self.engine)
        fds = _fds(self.accepted.blob_fd)
        entry = "inferd.worker.children.accelerator_probe:main"
        self.probe = _fork(fork_server, entry, "inferd-probe", request, fds, deadline_ns)

    def start_recovery(self, fork_server: ForkServer, deadline_ns: int, root: Path) -> bool:
        """Have a child run the recovery step before the next attempt; return False if there is none, or it was run.

        Args:
            fork_server: forks the child.
            deadline_ns: when the child is killed.
            root: where /sys and /dev are.

        Raises:
            WorkerError: the fork server is gone.
        """
        accelerator = by_delegate(self.engine.delegate)
        if accelerator is None or self.step.act is None or self._recovered_attempt == self.status.attempts:
            return False
        self._recovered_attempt = self.status.attempts
        request = ipc.RecoverAccelerator(accelerator.name, self.step.name, str(root))
        entry = "inferd.worker.children.accelerator_recovery:main"
        self.recovery = _fork(fork_server, entry, "inferd-recovery", request, [], deadline_ns)
        return True

    def forget_children(self) -> None:
        """Record that the children ended with their fork server."""
        for pending in (self.probe, self.recovery):
            if pending is not None:
                pending.close()
        self.probe = self.recovery = None

    def close(self) -> None:
        """End the children."""
        for pending in (self.probe, self.recovery):
            if pending is not None:
                pending.child.kill()
        self.forget_children()


def _fds(*fds: int | None) -> list[int]:
    return [fd for fd in fds if fd is not None]


def _fork(
    fork_server: ForkServer, entry: str, name: str, request: ToChild, fds: list[int], deadline_ns: int
) -> PendingChild:
    ours, theirs = channel_pair()
    channel: Channel[FromChild, ToChild] = Channel(ours, FromChild)  # type: ignore[arg-type]  # a union is no class
    try:
        child = fork_server.fork(entry, name, [theirs.fileno()], PROBE_LIMITS)
    finally:
        theirs.close()
    channel.send(request, fds)
    return PendingChild(child, channel, deadline_ns)
