"""Checks the packages beside an accelerator's library: the runtime that loads it, and packages mistaken for the vendor's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from inferd.accelerators.accelerator import Lookalike
from inferd.accelerators.table import ACCELERATORS
from inferd.doctor.check import Check, Problem
from inferd.doctor.checks.accelerator import Facts, Probes, read_accelerators, read_libraries
from inferd.doctor.checks.runtime import RuntimeFacts, read_runtime
from inferd.doctor.readers.world import World


@dataclass(frozen=True, slots=True)
class FoundLookalike:
    """An installed package that is not the vendor's: what it is, its version, the command that removes it."""

    package: Lookalike
    version: str
    remove: str


def read_lookalikes(world: World) -> tuple[FoundLookalike, ...]:
    """Find installed packages that are mistaken for the vendor's."""
    found = []
    for known in (one.lookalike for one in ACCELERATORS if one.lookalike):
        installed = next(iter(metadata.distributions(name=known.distribution, path=list(world.python.path))), None)
        if installed and not any(str(file) == known.vendor_file for file in installed.files or ()):
            remove = world.python.pip(f"uninstall --yes {known.distribution}")
            found.append(FoundLookalike(known, installed.version, remove))
    return tuple(found)


def judge_pairing(facts: Facts, probes: Probes, runtime: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault for a library that is known to crash in this runtime, though each works by itself."""
    name, version = runtime.name, runtime.steps.version("import")
    for one in facts:
        steps = probes.get(one.accelerator.name)
        built = steps.version("library") if steps else ""
        if built and name and one.library and one.accelerator.pair_works(built, name, version) is False:
            library = one.accelerator.library
            remedy = f"install a {one.accelerator.library_name} that was built for {name} {version}"
            remedy = f"{remedy}: docs/accelerators.md lists pairs that are known to work"
            yield Problem(f"this build of {library} crashes with {name} {version}", one.library.path, remedy)


def judge_lookalikes(found: tuple[FoundLookalike, ...]) -> Iterator[Problem]:
    """Yield a warning for each package that is not the vendor's."""
    for one in found:
        what = f"{one.package.distribution} {one.version} {one.package.fact}"
        yield Problem(what, "Python packages", one.remove, "warning")


CHECKS = (
    Check(
        "accelerator.pair",
        "whether an accelerator's library is of a build that is known to crash in the runtime that is installed",
        "library and runtime must fit each other; a wrong pair ends the process at the first inference",
        judge_pairing,
        (read_accelerators, read_libraries, read_runtime),
    ),
    Check(
        "accelerator.pycoral",
        "whether a package that is mistaken for the vendor's is installed (pycoral of PyPI)",
        "PyPI's pycoral has nothing to do with the Edge TPU and hides Google's",
        judge_lookalikes,
        (read_lookalikes,),
    ),
)
