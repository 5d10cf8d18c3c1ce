"""All models for accelerators: probe the device, fall back to the CPU version, recover, return. Control's side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.control.accelerators.accelerated_model import AcceleratedModel
from inferd.control.processes.vet_job import Accepted
from inferd.engine_choice import fitting_engine
from inferd.system.clock import Clock
from inferd.system.processes.fork_server import ForkServer

NS = 1_000_000_000
RECOVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class AcceleratorEvent:
    """A change of the accelerator of an engine key.

    Attributes:
        key: the engine key.
        kind: "ready" (the first probe succeeded), "failed", "mending", "wedged" or "back".
        why: the sentence.
        fallback_serves: whether a CPU version serves meanwhile.
    """

    key: str
    kind: Literal["ready", "failed", "mending", "wedged", "back"]
    why: str
    fallback_serves: bool


class Accelerators:
    """Owned by control's main thread."""

    def __init__(self, clock: Clock, root: Path = Path("/")) -> None:
        """Start without models.

        Args:
            clock: times everything.
            root: where /sys and /dev are, for recovery.
        """
        self._clock = clock
        self._root = root
        self._models: dict[str, AcceleratedModel] = {}

    def follow(self, models: Iterable[tuple[str, Accepted, settings.EngineConfig]]) -> None:
        """Set what is to serve, by engine key; models that need no accelerator are ignored."""
        wanted = {
            key: (accepted, configured)
            for key, accepted, configured in models
            if fitting_engine(accepted.description, configured).delegate
        }
        for key in [key for key in self._models if key not in wanted]:
            self._models.pop(key).close()
        for key, (accepted, configured) in wanted.items():
            model = self._models.get(key)
            if model is None or model.accepted is not accepted or model.configured != configured:
                started_ns = self._clock.monotonic_ns()
                self._replace(key, model, AcceleratedModel(accepted, configured, started_ns=started_ns))

    def can_serve(self, key: str) -> bool:
        """Return whether a key has something to offer now; True for a key without an accelerator."""
        model = self._models.get(key)
        return model is None or model.can_serve

    def offer(self, key: str, plain: ipc.Offer, fd: int | None) -> tuple[ipc.Offer, list[int]]:
        """Return the offer of a key and its descriptors: `plain` and `fd` for a key without an accelerator."""
        model = self._models.get(key)
        if model is None:
            return plain, [] if fd is None else [fd]
        offer, fds = model.offer(key)
        return msgspec.structs.replace(offer, replay_mb=plain.replay_mb), fds

    def fell(self, key: str, why: str) -> list[AcceleratorEvent]:
        """Record that the accelerator of a key failed in the worker; ignored for a key that is not on one."""
        model = self._models.get(key)
        if model is None or model.status.down or not model.known:
            return []
        model.worker_on_cpu = True
        return self._fall(key, model, why)

    def turn(self, fork_server: ForkServer, patience_s: float, load_s: float) -> list[AcceleratorEvent]:
        """Do what has become possible, and return what happened.

        Args:
            fork_server: forks the children.
            patience_s: how long an accelerator may take to answer before the CPU version serves.
            load_s: how long a child may take.

        Raises:
            WorkerError: the fork server is gone.
        """
        now_ns = self._clock.monotonic_ns()
        events: list[AcceleratorEvent] = []
        for key, model in self._models.items():
            if model.recovery is not None:
                events += self._finish_recovery(key, model, now_ns)
            elif model.probe is not None:
                events += self._finish_probe(key, model, now_ns, patience_s)
            elif not model.known or model.status.due(now_ns):
                events += self._try(key, model, fork_server, load_s)
        return events

    def lose_children(self) -> None:
        """Record that all children ended with their fork server."""
        for model in self._models.values():
            model.forget_children()

    def close(self) -> None:
        """End all children. Idempotent."""
        self.follow(())

    def _replace(self, key: str, before: AcceleratedModel | None, model: AcceleratedModel) -> None:
        """Follow another model of a key. What is known of the accelerator stays: the worker may be using it."""
        self._models[key] = model
        if before is not None:
            model.status, model.known, model.worker_on_cpu = before.status, before.known, before.worker_on_cpu
            before.close()
        elif not model.has_fallback:  # the vet child had to run it on the accelerator itself
            model.rise(self._clock.monotonic_ns())

    def _try(self, key: str, model: AcceleratedModel, fork_server: ForkServer, load_s: float) -> list[AcceleratorEvent]:
        """Recover or probe the accelerator, unless the worker uses it for another key."""
        now_ns = self._clock.monotonic_ns()
        if any(other.probe or other.recovery for other in self._models.values()):
            return []  # one at a time: it belongs to one process
        if model.status.down and model.start_recovery(fork_server, now_ns + int(RECOVERY_S * NS), self._root):
            return []
        if self._is_used_by_worker(key, model):
            model.rise(now_ns)  # it works in the worker, which alone can try this model on it
            return [self._is_up(key, model)]
        model.start_probe(fork_server, now_ns + int(load_s * NS))
        return []

    def _is_used_by_worker(self, key: str, model: AcceleratedModel) -> bool:
        """Return whether another key serves on the same accelerator."""
        return any(
            other.known and not other.status.down and other.engine.delegate == model.engine.delegate
            for name, other in self._models.items()
            if name != key
        )

    def _finish_recovery(self, key: str, model: AcceleratedModel, now_ns: int) -> list[AcceleratorEvent]:
        assert model.recovery is not None  # noqa: S101 - called only then
        answer = model.recovery.answer(now_ns)
        if answer is None:
            return []
        model.recovery = None
        result = answer.result if isinstance(answer, ipc.RecoveryDone) else str(answer)
        return [AcceleratorEvent(key, "mending", f"{model.step.name}: {result}", model.has_fallback)]

    def _finish_probe(
        self, key: str, model: AcceleratedModel, now_ns: int, patience_s: float
    ) -> list[AcceleratorEvent]:
        assert model.probe is not None  # noqa: S101 - called only then
        answer = model.probe.answer(now_ns)
        if answer is None:
            late = not model.known and now_ns - model.started_ns > patience_s * NS
            return self._fall(key, model, "the accelerator does not answer") if late else []
        model.probe = None
        why = answer.why if isinstance(answer, ipc.Probed) else str(answer)
        if why:
            return self._fall(key, model, why)
        model.rise(now_ns)
        return [self._is_up(key, model)]

    def _is_up(self, key: str, model: AcceleratedModel) -> AcceleratorEvent:
        return AcceleratorEvent(key, "back" if model.worker_on_cpu else "ready", "", model.has_fallback)

    def _fall(self, key: str, model: AcceleratedModel, why: str) -> list[AcceleratorEvent]:
        """Record a failure; it is an event once, and again after each recovery step that did not help."""
        step = model.step.name if model.status.down else None
        climbing = model.status.attempts < len(model.ladder)
        model.fall(why, self._clock.monotonic_ns())
        if model.step.name == "alert":
            return [AcceleratorEvent(key, "wedged", why, model.has_fallback)]
        if step == "reopen" and climbing:
            return [AcceleratorEvent(key, "mending", f"reopen: {why}", model.has_fallback)]
        return [] if step else [AcceleratorEvent(key, "failed", why, model.has_fallback)]
