"""A model that is meant for an accelerator: what serves of it and its CPU twin, and what is done when one fails.

Control's side. The rules are in `fallback_rules.py`; here are the children that ask the accelerator and mend it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inferd import ipc
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

# A warm model took 1.5 to 4 times its file on what we tried (packed weights, tensors); the rest stays for everybody else.
WARM_FACTOR = 4
SPARE_BYTES = 64 << 20
PROBE_LIMITS = Limits(nice=10, oom_score_adj=800)  # unlike a vet child: libusb needs its sockets


@dataclass(slots=True)
class PendingChild:
    """A child that was asked something, and when it has taken too long."""

    child: Child
    channel: Channel[ipc.UsbRecovered | ipc.Probed, ipc.RecoverUsb | ipc.Probe]
    due_ns: int

    def answer(self, now_ns: int) -> ipc.UsbRecovered | ipc.Probed | str | None:
        """Return what it said, or in words how it ended without saying it; None while it is at work."""
        if not self.child.wait_gone(0):
            if now_ns <= self.due_ns:
                return None
            self.child.kill()
            self.close()
            return "it did not answer in the time it has, and the process that asked it was killed"
        try:
            received = self.channel.receive(0)
        except WorkerError:
            received = None
        self.close()
        if received is None:
            return f"the process that tried it died; {WRONG_PAIR}"
        return received[0]

    def close(self) -> None:
        """Let go of the child."""
        self.channel.close()
        self.child.close()


@dataclass(slots=True)
class Accelerated:
    """One engine key whose model is meant for an accelerator. Owned by control's main thread.

    Attributes:
        accepted: what the vet child accepted: the model, and its twin where it has one.
        asked: the engine as the configuration has it.
        standing: whether the accelerator serves.
        known: whether the accelerator was asked about this model, or answered for too long.
        probe: the child that asks the accelerator.
        mending: the child that tries to bring it back.
        started_ns: when it was first asked for.
        worker_fell: whether the worker serves the twin, so that another worker takes the accelerator when it is back.
    """

    accepted: Accepted
    asked: settings.EngineConfig
    standing: AcceleratorStatus = field(default_factory=AcceleratorStatus)
    known: bool = False
    probe: PendingChild | None = None
    mending: PendingChild | None = None
    started_ns: int = 0
    worker_fell: bool = False
    _mended_attempt: int = 0

    @property
    def can_serve(self) -> bool:
        """Whether there is something to offer: the model, or where the accelerator fails its twin."""
        return self.known and (not self.standing.down or self.accepted.twin is not None)

    def offer(self, key: str) -> tuple[ipc.Offer, list[int]]:
        """Return the offer of what is to serve, and the descriptors that go with it."""
        accepted, twin = self.accepted, self.accepted.twin
        self.worker_fell = self.standing.down
        if self.standing.down:
            assert twin is not None  # noqa: S101 - see `can_serve`
            return ipc.Offer(key, twin, on_cpu(self.asked), degraded=self.standing.why), _fds(accepted.twin_fd)
        engine = fitting_engine(accepted.description, self.asked)
        if twin is None or available_bytes() < WARM_FACTOR * twin.facts.size_bytes + SPARE_BYTES:
            return ipc.Offer(key, accepted.description, engine), _fds(accepted.blob_fd)
        warm = ipc.FallbackOffer(twin, on_cpu(self.asked))
        return ipc.Offer(key, accepted.description, engine, warm), _fds(accepted.blob_fd, accepted.twin_fd)

    def fall(self, why: str, now_ns: int) -> None:
        """Take it that the accelerator failed."""
        self.standing, self.known = fell(self.standing, why, now_ns), True

    def rise(self, now_ns: int) -> None:
        """Take it that the accelerator takes the model."""
        self.standing, self.known = rose(self.standing, now_ns), True

    def ask(self, seed: ForkServer, due_ns: int) -> None:
        """Have a child try the model on the accelerator.

        Raises:
            WorkerError: the seed is gone.
        """
        engine = fitting_engine(self.accepted.description, self.asked)
        message = ipc.Probe(self.accepted.description.ref.name, engine)
        self.probe = _fork(
            seed,
            "inferd.worker.children.accelerator_probe:main",
            "inferd-probe",
            message,
            _fds(self.accepted.blob_fd),
            due_ns,
        )

    def begin_step(self, seed: ForkServer, due_ns: int, root: Path) -> bool:
        """Begin what comes before the next attempt; return whether there is such a step that was not done yet.

        Args:
            seed: forks the child.
            due_ns: when it has taken too long.
            root: where /sys and /dev are.

        Raises:
            WorkerError: the seed is gone.
        """
        step = self.standing.step
        if step not in ("usb_reset", "port_power") or self._mended_attempt == self.standing.attempts:
            return False
        self._mended_attempt = self.standing.attempts
        self.mending = _fork(
            seed, "inferd.worker.children.usb_recovery:main", "inferd-mend", ipc.RecoverUsb(step, str(root)), [], due_ns
        )
        return True

    def lose_children(self) -> None:
        """Take it that the children are gone, because their seed is."""
        for asked in (self.probe, self.mending):
            if asked is not None:
                asked.close()
        self.probe = self.mending = None

    def close(self) -> None:
        """End the children."""
        for asked in (self.probe, self.mending):
            if asked is not None:
                asked.child.kill()
        self.lose_children()


def _fds(*fds: int | None) -> list[int]:
    return [fd for fd in fds if fd is not None]


def _fork(
    seed: ForkServer, entry: str, name: str, message: ipc.RecoverUsb | ipc.Probe, fds: list[int], due_ns: int
) -> PendingChild:
    ours, theirs = channel_pair()
    channel: Channel[ipc.UsbRecovered | ipc.Probed, ipc.RecoverUsb | ipc.Probe]
    channel = Channel(ours, ipc.UsbRecovered | ipc.Probed)  # type: ignore[arg-type]  # a union is no class
    try:
        child = seed.fork(entry, name, [theirs.fileno()], PROBE_LIMITS)
    finally:
        theirs.close()
    channel.send(message, fds)
    return PendingChild(child, channel, due_ns)
