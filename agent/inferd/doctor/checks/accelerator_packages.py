"""Judges what stands beside libedgetpu: the runtime that it is loaded into, and whose pycoral there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from inferd.doctor.check import Check, Problem
from inferd.doctor.checks.accelerator import LIBRARY, TpuFacts, read_library, read_tpus
from inferd.doctor.checks.runtime import RuntimeFacts, read_runtime
from inferd.doctor.readers.probe_client import ProbeSteps
from inferd.doctor.readers.world import World
from inferd.runtime import edgetpu


@dataclass(frozen=True, slots=True)
class PycoralFacts:
    """The distribution called pycoral: its version and whether it is Google's; and how to remove it."""

    version: str
    googles: bool
    remove: str


def read_pycoral(world: World) -> PycoralFacts | None:
    """Look whose pycoral is installed; None where none is."""
    found = next(iter(metadata.distributions(name="pycoral", path=list(world.python.path))), None)
    if found is None:
        return None
    googles = any(str(file) == "pycoral/utils/edgetpu.py" for file in found.files or ())
    return PycoralFacts(found.version, googles, world.python.pip("uninstall --yes pycoral"))


def judge_pairing(facts: TpuFacts, steps: ProbeSteps, runtime: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault where the library is known to crash in this runtime; each may be well by itself."""
    built, name, version = steps.version("library"), runtime.name, runtime.steps.version("import")
    if built and name and edgetpu.judge_pair(built, name, version) is False and facts.library:
        mend = f"install a libedgetpu that was built for {name} {version}: docs/accelerators.md says which are known"
        yield Problem(f"this build of {LIBRARY} crashes with {name} {version}", facts.library.path, mend)


def judge_pycoral(facts: PycoralFacts | None) -> Iterator[Problem]:
    """Yield a fault where PyPI's pycoral is installed."""
    if facts and not facts.googles:
        fact = f"pycoral {facts.version} is not Google's library, but a tool of that name for coral reefs"
        yield Problem(fact, "Python packages", facts.remove, "warning")


CHECKS = (
    Check(
        "accelerator.pair",
        "whether libedgetpu is of a build that is known to crash in the runtime that is installed",
        "library and runtime must fit each other; a wrong pair ends the process at the first inference",
        judge_pairing,
        (read_tpus, read_library, read_runtime),
    ),
    Check(
        "accelerator.pycoral",
        "whose package called pycoral is installed",
        "PyPI's pycoral has nothing to do with the Edge TPU and hides Google's",
        judge_pycoral,
        (read_pycoral,),
    ),
)
