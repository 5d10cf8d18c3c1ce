"""`make mutants`: one small fault at a time in a copy of the code; which of them does no test see?

A sample of the generated mutants is run, the same for the same code: those whose names have the smallest hashes. Survivors
are listed with their lines; not each is a gap (a fault may change nothing that matters), so each is to be looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from inferd_tools.mutants.generate import Mutant, mutants
from inferd_tools.mutants.table import AREAS, Area
from inferd_tools.mutants.trial import ROOT, Outcome, copy_of_the_package

PACKAGE = ROOT / "agent" / "inferd"
WITHOUT_ASSETS = {"INFERD_ASSETS": "/nonexistent"}
"""Published models show the same as ours, and take longer."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant and what became of it."""

    area: str
    mutant: Mutant
    outcome: Outcome
    took_s: float


def chosen(pattern: str, each: int) -> list[tuple[Area, Mutant]]:
    """Return up to `each` mutants of every area, or of the one that the pattern names; all whose own name holds the pattern."""
    found: dict[str, list[tuple[Area, Mutant]]] = defaultdict(list)
    for area in AREAS:
        for file in area.files(PACKAGE):
            found[area.name] += [(area, one) for one in mutants(file, (PACKAGE / file).read_bytes())]
    if pattern and pattern not in found:
        return [one for listed in found.values() for one in listed if pattern in one[1].name]
    if pattern:
        found = defaultdict(list, {pattern: found[pattern]})
    return [one for listed in found.values() for one in sorted(listed, key=lambda one: _hash(one[1].name))[:each]]


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def judge(work: Iterable[tuple[Area, Mutant]], jobs: int) -> list[Judged]:
    """Run the tests on every mutant, `jobs` at a time; print each as it is done."""
    left: queue.SimpleQueue[tuple[Area, Mutant]] = queue.SimpleQueue()
    for one in work:
        left.put(one)
    total, done, lock = left.qsize(), list[Judged](), threading.Lock()

    def run() -> None:
        with copy_of_the_package() as copy:
            while True:
                try:
                    area, mutant = left.get_nowait()
                except queue.Empty:
                    return
                changed = mutant.apply(copy.read(mutant.file))
                trial = copy.run(mutant.file, changed, area.tests, area.limit_s, area.marks, **WITHOUT_ASSETS)
                with lock:
                    done.append(Judged(area.name, mutant, trial.outcome, trial.took_s))
                    print(f"[{len(done)}/{total}] {trial.outcome} in {trial.took_s:.0f} s  {mutant.name}", flush=True)

    threads = [threading.Thread(target=run) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def baseline(areas: Sequence[Area]) -> list[str]:
    """Return what fails without any fault: its mutants would all be called killed."""
    failing = []
    with copy_of_the_package() as copy:
        for area in areas:
            file = area.files(PACKAGE)[0]
            trial = copy.run(file, copy.read(file), area.tests, area.limit_s, area.marks, **WITHOUT_ASSETS)
            print(f"without a fault: {area.name}, {', '.join(area.tests)}: {trial.took_s:.0f} s", flush=True)
            if trial.outcome != "survived":
                failing.append(trial.output[-2000:])
    return failing


def summary(judged: Sequence[Judged]) -> str:
    """Return the survivors with their lines, and the share that was killed, by area."""
    lines = []
    for one in sorted((one for one in judged if one.outcome != "killed"), key=lambda one: one.mutant.name):
        what = f"{' '.join(one.mutant.old.split())[:90]}  →  {' '.join(one.mutant.new.split())[:90]}"
        lines.append(f"{one.outcome}: {one.mutant.file}:{one.mutant.line}  {one.mutant.name}\n    {what}")
    names = sorted({one.area for one in judged})
    shares = [f"{name}: {_share([one for one in judged if one.area == name])}" for name in names]
    return "\n".join([*lines, *shares, f"all: {_share(judged)}"])


def _share(judged: Sequence[Judged]) -> str:
    killed = sum(one.outcome == "killed" for one in judged)
    return f"{killed} of {len(judged)} killed ({killed / max(1, len(judged)):.0%})"


def main() -> int:
    """Run the mutants that the command line asks for; return 1 where a test fails without any fault."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="an area, or a part of a mutant's name: all of those, not a sample")
    parser.add_argument("--each", type=int, default=25, help="how many of each area (default 25)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--json", type=Path, help="write the results there too")
    parser.add_argument("--list", action="store_true", help="only list them")
    asked = parser.parse_args()
    work = chosen(asked.only, asked.each)
    if asked.list:
        print(
            "\n".join(
                f"{one.name}  line {one.line}: {' '.join(one.old.split())[:60]} → {one.new[:60]}" for _, one in work
            )
        )
        return 0
    if failing := baseline(list(dict.fromkeys(area for area, _ in work))):
        print("\n".join(failing), "\nthese fail without any fault; nothing was tried", sep="")
        return 1
    judged = judge(work, asked.jobs)
    print(summary(judged))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in judged], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
