"""libedgetpu as the linker really meets it: fakes built with gcc, loaded in the real child, beside fixture devices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import inferd
from fixtures.machines.boards import Board, pc
from inferd.doctor.check import Finding
from inferd.doctor.checks.accelerator import CHECKS
from inferd.doctor.readers.world import this_python
from inferd.doctor.runner import examine

LIBRARY = "usr/lib/x86_64-linux-gnu/libedgetpu.so.1"
# What edgetpu_c.h promises, as far as the doctor asks for it.
GOOD = """
#include <stddef.h>
struct device { int type; const char* path; };
static struct device one = {1, "/sys/bus/usb/devices/2-1"};
const char* edgetpu_version(void) { return "BuildLabel(fake), RuntimeVersion(14)"; }
struct device* edgetpu_list_devices(size_t* count) { *count = 1; return &one; }
void edgetpu_free_devices(struct device* devices) { (void)devices; }
"""
CRASHING = "const char* edgetpu_version(void) { return *(char**)0; }"
OTHER = "int nothing_of_the_kind(void) { return 0; }"

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc; apt-get install gcc"),
    pytest.mark.skipif(this_python().architecture != "x86_64", reason="the fixture machine is a PC"),
]


@pytest.fixture
def machine(tmp_path: Path) -> Board:
    """Return a PC with a USB Coral, whose children run in this very Python."""
    made = pc(tmp_path / "root")
    made.python = replace(this_python(), path=made.python.path)
    made.environment = {"PATH": "/usr/bin", "PYTHONPATH": str(Path(inferd.__file__).parents[1])}
    made.usb("2-1", "18d1:9302", "5000", 3)
    return made


def build(machine: Board, source: str, *options: str) -> Path:
    library = machine.root / LIBRARY
    library.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-shared", "-fPIC", "-xc", "-", "-o", str(library), *options]
    subprocess.run(command, input=source.encode(), check=True, timeout=50)
    return library


def found(machine: Board) -> dict[str, Finding]:
    return {one.id: one for one in examine(machine.world(), CHECKS).findings}


def test_a_library_that_works_is_well(machine: Board) -> None:
    build(machine, GOOD)
    assert found(machine) == {}


def test_a_library_without_a_device_is_named(machine: Board) -> None:
    build(machine, GOOD)
    machine.remove("/sys/bus/usb/devices/2-1")
    assert set(found(machine)) == {"accelerator.device"}


def test_a_missing_libusb_is_named(machine: Board) -> None:
    folder = machine.root / LIBRARY  # the 9 instead of the 0 is there on no machine that runs the tests
    folder.parent.mkdir(parents=True)
    usb = folder.with_name("libusb-1.0.so.9")
    subprocess.run(
        ["gcc", "-shared", "-xc", "/dev/null", "-Wl,-soname,libusb-1.0.so.9", "-o", str(usb)], check=True, timeout=50
    )
    build(machine, GOOD, "-xnone", "-Wl,--no-as-needed", str(usb))
    usb.unlink()
    findings = found(machine)
    assert set(findings) == {"accelerator.libusb"}
    assert findings["accelerator.libusb"].mend == "sudo apt-get install libusb-1.0-0"


def test_a_library_that_crashes_is_named(machine: Board) -> None:
    build(machine, CRASHING)
    assert "was killed by SIGSEGV" in found(machine)["accelerator.broken"].what


def test_another_library_under_that_name_is_named(machine: Board) -> None:
    build(machine, OTHER)
    assert "edgetpu_version" in found(machine)["accelerator.broken"].what


def test_a_library_for_another_processor_is_named(machine: Board) -> None:
    library = build(machine, GOOD)
    machine.python = replace(machine.python, architecture="aarch64")
    library.rename(machine.write("/usr/lib/libedgetpu.so.1", ""))
    assert set(found(machine)) == {"accelerator.architecture"}


@pytest.fixture
def holder(machine: Board) -> Iterator[int]:
    """Run a real process that has the device file open, below a real /proc."""
    shutil.rmtree(machine.root / "proc")
    (machine.root / "proc").symlink_to("/proc")
    node = machine.root / "dev/bus/usb/002/003"
    script = "import sys; held = open(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, os.fspath(node)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_a_device_that_another_process_holds_is_named_with_its_process(machine: Board, holder: int) -> None:
    build(machine, GOOD)
    findings = found(machine)
    assert set(findings) == {"accelerator.busy"}
    assert findings["accelerator.busy"].mend == f"kill {holder}"
