"""All models that are meant for an accelerator: asks them, falls back to twins, mends, comes back. Control's side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.control.accelerators.accelerated_model import Accelerated
from inferd.control.accelerators.fallback_rules import LADDER
from inferd.control.processes.vet_job import Accepted
from inferd.engine_choice import fitting_engine
from inferd.system.clock import Clock
from inferd.system.processes.fork_server import ForkServer

NS = 1_000_000_000
MEND_S = 20.0


@dataclass(frozen=True, slots=True)
class AcceleratorEvent:
    """What happened to the accelerator of an engine key.

    Attributes:
        key: whose.
        kind: "ready" (asked for the first time, and it works), "failed", "mending", "wedged" or "back".
        why: the sentence.
        twin_serves: whether there is a CPU twin to serve meanwhile.
    """

    key: str
    kind: Literal["ready", "failed", "mending", "wedged", "back"]
    why: str
    twin_serves: bool


class Accelerators:
    """Owned by control's main thread."""

    def __init__(self, clock: Clock, root: Path = Path("/")) -> None:
        """Follow none yet.

        Args:
            clock: times everything.
            root: where /sys and /dev are, for what may bring a stick back.
        """
        self._clock = clock
        self._root = root
        self._held: dict[str, Accelerated] = {}

    def follow(self, models: Iterable[tuple[str, Accepted, settings.EngineConfig]]) -> None:
        """Take what is to serve by engine key; those that need no accelerator are none of ours."""
        wanted = {
            key: (accepted, asked)
            for key, accepted, asked in models
            if fitting_engine(accepted.description, asked).delegate
        }
        for key in [key for key in self._held if key not in wanted]:
            self._held.pop(key).close()
        for key, (accepted, asked) in wanted.items():
            held = self._held.get(key)
            if held is None or held.accepted is not accepted or held.asked != asked:
                self._renew(key, held, Accelerated(accepted, asked, started_ns=self._clock.monotonic_ns()))

    def can_serve(self, key: str) -> bool:
        """Whether a key has something to offer now; always so where it needs no accelerator."""
        held = self._held.get(key)
        return held is None or held.can_serve

    def offer(self, key: str, plain: ipc.Offer, fd: int | None) -> tuple[ipc.Offer, list[int]]:
        """Return the offer of a key and the descriptors that go with it; `plain` and `fd` where it needs no accelerator."""
        held = self._held.get(key)
        if held is not None:
            offer, fds = held.offer(key)
            return msgspec.structs.replace(offer, replay_mb=plain.replay_mb), fds
        return plain, [fd] if fd is not None else []

    def fell(self, key: str, why: str) -> list[AcceleratorEvent]:
        """Take it that the accelerator of a key failed in the worker; nothing where the key is not on one."""
        held = self._held.get(key)
        if held is None or held.standing.down or not held.known:
            return []
        held.worker_fell = True
        return self._fall(key, held, why)

    def turn(self, seed: ForkServer, patience_s: float, load_s: float) -> list[AcceleratorEvent]:
        """Do what has become possible, and return what happened.

        Args:
            seed: forks the children.
            patience_s: how long an accelerator may take to answer before the twin serves.
            load_s: how long a child may take.

        Raises:
            WorkerError: the seed is gone.
        """
        now_ns = self._clock.monotonic_ns()
        news: list[AcceleratorEvent] = []
        for key, held in self._held.items():
            if held.mending is not None:
                news += self._hear_mending(key, held, now_ns)
            elif held.probe is not None:
                news += self._hear_probe(key, held, now_ns, patience_s)
            elif not held.known or held.standing.due(now_ns):
                news += self._try(key, held, seed, load_s)
        return news

    def lose_children(self) -> None:
        """Take it that all children are gone, because their seed is."""
        for held in self._held.values():
            held.lose_children()

    def close(self) -> None:
        """End all children. Twice is fine."""
        self.follow(())

    def _renew(self, key: str, before: Accelerated | None, held: Accelerated) -> None:
        """Follow another model of a key. What was known of the accelerator stays: the worker may hold it just now."""
        self._held[key] = held
        if before is not None:
            held.standing, held.known, held.worker_fell = before.standing, before.known, before.worker_fell
            before.close()
        elif held.accepted.twin is None:  # the vet child had to ask the accelerator itself
            held.rise(self._clock.monotonic_ns())

    def _try(self, key: str, held: Accelerated, seed: ForkServer, load_s: float) -> list[AcceleratorEvent]:
        """Ask the accelerator, unless the worker holds it for another key, or something is to be done first."""
        now_ns = self._clock.monotonic_ns()
        if any(other.probe or other.mending for other in self._held.values()):
            return []  # one at a time: it belongs to one process
        if held.standing.down and held.begin_step(seed, now_ns + int(MEND_S * NS), self._root):
            return []
        if self._is_held_by_worker(key, held):
            held.rise(now_ns)  # it answers to the worker, which alone can try this model on it
            return [AcceleratorEvent(key, "back" if held.worker_fell else "ready", "", held.accepted.twin is not None)]
        held.ask(seed, now_ns + int(load_s * NS))
        return []

    def _is_held_by_worker(self, key: str, held: Accelerated) -> bool:
        """Whether another key serves on the same accelerator."""
        mine = fitting_engine(held.accepted.description, held.asked).delegate
        return any(
            other.known
            and not other.standing.down
            and fitting_engine(other.accepted.description, other.asked).delegate == mine
            for name, other in self._held.items()
            if name != key
        )

    def _hear_mending(self, key: str, held: Accelerated, now_ns: int) -> list[AcceleratorEvent]:
        assert held.mending is not None  # noqa: S101 - asked only then
        answer = held.mending.answer(now_ns)
        if answer is None:
            return []
        held.mending = None
        told = answer.told if isinstance(answer, ipc.UsbRecovered) else str(answer)
        return [AcceleratorEvent(key, "mending", f"{held.standing.step}: {told}", held.accepted.twin is not None)]

    def _hear_probe(self, key: str, held: Accelerated, now_ns: int, patience_s: float) -> list[AcceleratorEvent]:
        assert held.probe is not None  # noqa: S101 - asked only then
        answer = held.probe.answer(now_ns)
        if answer is None:
            late = not held.known and now_ns - held.started_ns > patience_s * NS
            return self._fall(key, held, "the accelerator does not answer") if late else []
        held.probe = None
        why = answer.why if isinstance(answer, ipc.Probed) else str(answer)
        if why:
            return self._fall(key, held, why)
        held.rise(now_ns)
        return [AcceleratorEvent(key, "back" if held.worker_fell else "ready", "", held.accepted.twin is not None)]

    def _fall(self, key: str, held: Accelerated, why: str) -> list[AcceleratorEvent]:
        """Take a failure; it is told once, and again where a step of the ladder did not help."""
        step = held.standing.step if held.standing.down else None
        climbing = held.standing.attempts < len(LADDER)
        held.fall(why, self._clock.monotonic_ns())
        has_twin = held.accepted.twin is not None
        if held.standing.step == "alert":
            return [AcceleratorEvent(key, "wedged", why, has_twin)]
        if step == "reopen" and climbing:
            return [AcceleratorEvent(key, "mending", f"reopen: {why}", has_twin)]
        return [] if step else [AcceleratorEvent(key, "failed", why, has_twin)]
