"""The package under a kernel of its own, in an emulated PC: minutes, and once a download of 300 MB. `make kernel`.

What is measured inside is printed, and kept in .cache/kernel/*.json.
"""

# ruff: noqa: T201 - what is printed is the report

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from fixtures.machines.booted_debian import CACHE, INSIDE, failed, package_of, read_report
from fixtures.network.certificates import OPENSSL, Authority
from inferd_tools.deb.releases import RELEASES
from inferd_tools.machines import qemu

RELEASE = RELEASES["bookworm"]
SOUNDS = {
    "yamnet.tflite": "models/audio_sensor/yamnet_audio_classifier.tflite",
    "speech.wav": "audio/speech.wav",
    "meow.wav": "audio/meow_16k.wav",
}
LIKE_A_PI = "panic=-1 cgroup_disable=memory"
WATCHDOG = ("-device", "i6300esb")
EXAMPLE = Path(__file__).parents[2] / "systemd" / "examples" / "hardware-watchdog.conf"
READABLE = 0o755  # by the user inferd inside

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> qemu.QemuMachine:
    if os.geteuid() != 0:
        pytest.skip("laying out a disk needs root")
    if missing := qemu.missing():
        pytest.skip(f"not installed: apt-get install {' '.join(missing)}")
    folder = tmp_path_factory.mktemp("machine") / RELEASE.codename
    archive = qemu.root_archive(RELEASE.codename, CACHE / "roots")
    return qemu.QemuMachine(archive, folder, package_of(RELEASE), [EXAMPLE])


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Path:
    """Return the folder that is seen as /in."""
    folder = tmp_path_factory.mktemp("in")
    folder.chmod(READABLE)
    shutil.copytree(INSIDE, folder, dirs_exist_ok=True)
    for name, path in SOUNDS.items():
        shutil.copy(assets / path, folder / name)
    if OPENSSL is None:
        pytest.skip("there is no openssl; apt-get install openssl")
    Authority(folder).sign("localhost", "DNS:localhost")
    (folder / "now").write_text(f"{time.time():.0f}")
    return folder


@pytest.fixture
def out() -> Path:
    """Return the folder that is seen as /out."""
    folder = CACHE / "kernel"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_camera_power_meter_and_sound_card_of_the_kernel_serve_and_a_hog_is_rolled_back(
    machine: qemu.QemuMachine, inside: Path, out: Path
) -> None:
    machine.boot(inside, "kernel", out)
    assert failed(read_report(out / "kernel.json", out / "verify.log")) == {}


def test_a_board_without_a_clock_and_without_the_memory_cgroup_is_served(
    machine: qemu.QemuMachine, inside: Path, out: Path
) -> None:
    machine.boot(inside, "bare", out, kernel=LIKE_A_PI)
    assert failed(read_report(out / "bare.json", out / "verify.log")) == {}


def test_the_hardware_watchdog_resets_a_machine_whose_first_process_is_frozen(
    machine: qemu.QemuMachine, inside: Path, out: Path
) -> None:
    told = freeze(machine, inside, out, *WATCHDOG)
    assert (told["state"], told["systemd"], told["timeout"]) == ("active", "14s", "14")
    assert "still_there_s" not in told


def test_without_a_watchdog_it_stays_frozen(machine: qemu.QemuMachine, inside: Path, out: Path) -> None:
    assert "still_there_s" in freeze(machine, inside, out)


def freeze(machine: qemu.QemuMachine, inside: Path, out: Path, *options: str) -> dict[str, Any]:  # Any: JSON
    """Return the last words of a machine whose PID 1 was frozen."""
    words = out / "frozen.json"
    words.unlink(missing_ok=True)
    machine.boot(inside, "frozen", out, options)
    told: dict[str, Any] = json.loads(words.read_text())
    print(f"frozen with {options or 'no watchdog'}: {told}; off {time.time() - words.stat().st_mtime:.0f} s after")
    return told
