"""Asks the probe child, and makes facts of its lines and of how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from inferd.doctor.readers.world import World
from inferd.records import Unavailable


class ProbeStep(msgspec.Struct, frozen=True):
    """One step of the child: `state` is "begun", "done" or "failed"; the rest as far as the step tells it."""

    step: str
    state: str
    name: str = ""
    version: str = ""
    kind: str = ""
    why: str = ""
    warning: str = ""
    devices: int = 0

    @property
    def failed(self) -> bool:
        """Whether it was tried and did not work."""
        return self.state == "failed"

    @property
    def reason(self) -> str:
        """The last line of what went wrong, cut to a size that can be shown."""
        lines = [line.strip() for line in self.why.splitlines() if line.strip()]
        return (lines[-1] if lines else self.kind)[:200].rstrip(".")


@dataclass(frozen=True, slots=True)
class ProbeSteps:
    """The steps that were taken, by name; one that killed the child has failed."""

    taken: dict[str, ProbeStep]

    def get(self, name: str) -> ProbeStep | None:
        """Return a step, None where it was never reached."""
        return self.taken.get(name)

    def version(self, name: str) -> str:
        """Return the version that a step told, "" where it told none."""
        step = self.taken.get(name)
        return step.version if step else ""


def ask(world: World, *arguments: str) -> ProbeSteps | Unavailable:
    """Run the probe with these arguments and return what it told; Unavailable where it could not be waited for."""
    ran = world.run_python("-m", "inferd.doctor.readers.probe_child", *arguments)
    taken = {step.step: step for step in _steps(ran.out)}
    if ran.timed_out:
        at = next((step.step for step in taken.values() if step.state == "begun"), "starting")
        return Unavailable(f"the child that tries it was still at {at!r}; give it more time: inferd doctor --within 20")
    if not taken:
        return Unavailable(f"the child that tries it {ran.ended}: {_last_line(ran.err)}")
    return ProbeSteps({name: _settle(step, ran.ended) for name, step in taken.items()})


def _steps(out: str) -> Iterator[ProbeStep]:
    for line in out.splitlines():
        if line.startswith("{"):
            try:
                yield msgspec.json.decode(line, type=ProbeStep)
            except msgspec.DecodeError:
                continue  # native code may print what it likes


def _settle(step: ProbeStep, ended: str) -> ProbeStep:
    """Make a failure of a step that was begun and never ended."""
    if step.state != "begun":
        return step
    return msgspec.structs.replace(step, state="failed", kind="crash", why=f"the process that tried it {ended}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"
