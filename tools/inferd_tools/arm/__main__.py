"""`make arm`: run the core of the tests, and the agent itself, on emulated ARM; print and keep the figures of what passed."""

# ruff: noqa: S603 - it starts the real programs, by full argument lists

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from pathlib import Path

from inferd.demo.clip import read_clip
from inferd_tools.arm.boards import KINDS, Kind
from inferd_tools.arm.emulation import EmulatedRoot, emulated
from inferd_tools.arm.packages import COMPILER, root_of

PROJECT = Path(__file__).parents[3]
CACHE = PROJECT / ".cache/arm"
LIMIT_S = 3600.0
TEST_LIMIT_S = 600  # of one test: emulation takes ten to forty times as long
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
    "unshare": "util-linux",
    "qemu-aarch64-static": "qemu-user-static",
}
LOOP = (
    "tests/worker/test_loop.py",
    "tests/test_pipeline.py",
    "tests/worker/test_capture.py",
    "tests/contracts/test_engine.py",
    "tests/runtime",
)
CORE = (*LOOP, "tests/store", "tests/telemetry", "tests/wire", "tests/system", "tests/preprocess")
PROCESSES = "tests/system/processes"
EMULATORS = {  # what they prove, the emulator does otherwise than a kernel on ARM
    "tests/worker/test_capture.py::test_a_window_that_fills_slowly_is_not_silence": "a Python starts in a second there",
    f"{PROCESSES}/test_memory_limit.py::test_more_than_the_share_is_refused": "QEMU does not keep RLIMIT_DATA",
    f"{PROCESSES}/test_parent_death.py::test_the_program_keeps_the_process_number_it_was_started_with": "shows QEMU's command",
    f"{PROCESSES}/test_fork_server.py::test_the_fork_server_has_one_thread_even_with_everything_imported": "QEMU adds a thread",
}
NOT_OURS = {"PYTHONPATH": "", "PYTHONPYCACHEPREFIX": "", "LD_LIBRARY_PATH": ""}  # the package has its own
INSTALL = """
dpkg --install /out/inferd_*_{arch}.deb
cd /tmp
setpriv --reuid=inferd --regid=inferd --init-groups inferd selftest --seconds={seconds} --output=/tmp/package
cp package.json package.txt /out/
install -d /etc/inferd/inferd.d
cat >/etc/inferd/inferd.d/clip.toml <<'END'
[mqtt]
enabled = false
[[pipeline]]
name = "digits"
model = "/opt/inferd/lib/python3.11/site-packages/inferd/bundled/digits"
source = {{ kind = "video", path = "/opt/inferd/lib/python3.11/site-packages/inferd/bundled/digits/clip.avi" }}
pace = {{ mode = "fast" }}
report = {{ max_per_s = 0 }}
END
install -d -o inferd /run/inferd
service=$(sed -n s/^ExecStart=//p /lib/systemd/system/inferd.service)
export STATE_DIRECTORY=/var/lib/inferd RUNTIME_DIRECTORY=/run/inferd
setpriv --reuid=inferd --regid=inferd --init-groups $service --until-end --print >/out/service.jsonl
dpkg --purge inferd
test ! -e /opt/inferd
test ! -e /var/lib/inferd
"""
TESTS = {"arm64": CORE, "armhf": LOOP}


def main() -> int:
    """Prove each kind that was asked for; return 1 where something failed."""
    options = _parser().parse_args()
    kinds = [KINDS[name] for name in options.arch or KINDS]
    if why := _cannot(kinds):
        print(why, file=sys.stderr)
        return 1
    codes = [prove(kind, options.seconds, options.tests) for kind in kinds]
    return int(any(code for told in codes for code in told.values()))


def prove(kind: Kind, seconds: int, tests: list[str]) -> dict[str, int]:
    """Take all steps on one kind of ARM, and return their exit codes; figures are printed and kept."""
    out = CACHE / "out" / kind.name
    codes: dict[str, int] = {}
    took_s: dict[str, float] = {}
    with emulated(kind):
        root = EmulatedRoot(kind, root_of(kind, CACHE, PROJECT), _seen(), out)
        for name, step in _steps(root, kind, seconds, tests, out).items():
            began = time.monotonic()
            codes[name] = step()
            took_s[name] = round(time.monotonic() - began, 1)
    told = {"machine": kind.machine, "exit_codes": codes, "took_s": took_s, "tests": _counted(out / "tests.xml")}
    if kind.configured:
        told["service"] = _read_right(out / "service.jsonl")
    (CACHE / "out" / f"{kind.name}.json").write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told))
    return codes


def _steps(root: EmulatedRoot, kind: Kind, seconds: int, tests: list[str], out: Path) -> dict[str, Callable[[], int]]:
    steps: dict[str, Callable[[], int]] = {
        "tests": partial(_test, root, tests or list(TESTS[kind.name]), out),
        "selftest": partial(_selftest, root, seconds),
    }
    if kind.configured:
        steps["package"] = partial(_package, root, kind, seconds, out)
    return steps


def _seen() -> dict[str, Path]:
    """Return what a root sees of this machine: the project, and the real models where they are."""
    assets = Path(os.environ.get("INFERD_ASSETS", PROJECT.parent / "shared/assets"))
    return {"src": PROJECT, **({"assets": assets} if assets.is_dir() else {})}


def _test(root: EmulatedRoot, paths: list[str], out: Path) -> int:
    (out / "tests.xml").unlink(missing_ok=True)
    command = ["python3", "-m", "pytest", "-q", "-c", "/src/pyproject.toml", "--rootdir=/src", "-p", "no:cacheprovider"]
    command += ["-m", "not slow and not soak", f"--timeout={TEST_LIMIT_S}", "--junitxml=/out/tests.xml"]
    command += [f"--deselect={test}" for test in EMULATORS]
    return root.run([*command, *paths], {"INFERD_ASSETS": "/assets"}, LIMIT_S)


def _selftest(root: EmulatedRoot, seconds: int) -> int:
    command = ["python3", "-m", "inferd", "selftest", f"--seconds={seconds}", "--output=/out/selftest"]
    return root.run(command, {}, LIMIT_S)


def _package(root: EmulatedRoot, kind: Kind, seconds: int, out: Path) -> int:
    """Build the Debian package here, and there install it, run it as its own user, and purge it."""
    building = [sys.executable, "-m", "inferd_tools.deb", "--release=bookworm", f"--arch={kind.name}"]
    subprocess.run([*building, f"--out={out}"], check=True)
    return root.run(["sh", "-exc", INSTALL.format(arch=kind.name, seconds=seconds)], NOT_OURS, LIMIT_S)


def _counted(file: Path) -> dict[str, int]:
    """Read pytest's report: how many tests ran, failed and were skipped; nothing where it wrote none."""
    if not file.exists():
        return {}
    suites = list(ET.parse(file).getroot().iter("testsuite"))  # noqa: S314 - our own test runner wrote it
    sums = {
        name: sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    }
    failed = sums["failures"] + sums["errors"]
    return {"passed": sums["tests"] - failed - sums["skipped"], "failed": failed, "skipped": sums["skipped"]}


def _read_right(file: Path) -> dict[str, int]:
    """Count the frames of the clip that the installed service answered, and those it read as what was written."""
    clip = read_clip(PROJECT / "models/digits/clip.json")
    results = (
        [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")] if file.exists() else []
    )
    right = [one for one in results if one["labels"] and one["labels"][0]["label"] == str(clip.truth(one["frame"]))]
    return {"results": len(results), "right": len(right)}


def _cannot(kinds: list[Kind]) -> str:
    """Return why this machine cannot, in a sentence; "" where it can."""
    if os.geteuid() != 0:
        return "roots of another machine are made and entered by root only; run `make arm` as root"
    needed = dict(NEEDED)
    if any(kind.built for kind in kinds):
        needed[COMPILER] = "gcc-arm-linux-gnueabihf"
    missing = sorted({package for program, package in needed.items() if shutil.which(program) is None})
    return f"missing: {' '.join(missing)}; apt-get install {' '.join(missing)}" if missing else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="inferd_tools.arm", description=__doc__)
    parser.add_argument("--arch", action="append", choices=KINDS, help="only this one; both without")
    parser.add_argument(
        "--seconds", type=int, default=20, help="how long the agent's self-test takes, before emulation"
    )
    parser.add_argument("tests", nargs="*", help="instead of the core")
    return parser


if __name__ == "__main__":
    sys.exit(main())
