"""The package under a kernel of its own, in an emulated PC: minutes, and once a download of 300 MB. `make soak`.

What is measured inside is printed, and kept in .cache/kernel/*.json.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fixtures.booting import CACHE, INSIDE, failed, package_of, read_report
from inferd_tools import qemu
from inferd_tools.deb.releases import RELEASES

RELEASE = RELEASES["bookworm"]
SOUNDS = {
    "yamnet.tflite": "models/audio_sensor/yamnet_audio_classifier.tflite",
    "speech.wav": "audio/speech.wav",
    "meow.wav": "audio/meow_16k.wav",
}
READABLE = 0o755  # by the user inferd inside

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> qemu.Machine:
    if os.geteuid() != 0:
        pytest.skip("laying out a disk needs root")
    if missing := qemu.missing():
        pytest.skip(f"not installed: apt-get install {' '.join(missing)}")
    folder = tmp_path_factory.mktemp("machine") / RELEASE.codename
    return qemu.Machine(qemu.root_archive(RELEASE.codename, CACHE / "roots"), folder, package_of(RELEASE))


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Path:
    """Return the folder that is seen as /in."""
    folder = tmp_path_factory.mktemp("in")
    folder.chmod(READABLE)
    shutil.copytree(INSIDE, folder, dirs_exist_ok=True)
    for name, path in SOUNDS.items():
        shutil.copy(assets / path, folder / name)
    return folder


@pytest.fixture
def out() -> Path:
    """Return the folder that is seen as /out."""
    folder = CACHE / "kernel"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_camera_power_meter_and_sound_card_of_the_kernel_serve_and_a_hog_is_rolled_back(
    machine: qemu.Machine, inside: Path, out: Path
) -> None:
    machine.boot(inside, "kernel", out)
    assert failed(read_report(out / "kernel.json", out / "verify.log")) == {}
