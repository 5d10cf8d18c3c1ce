"""Real file systems: full, read-only, in memory, closed to us; mounted where only the test sees them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import inferd
from inferd.bundled_files import bundled
from inferd.doctor.check import DoctorReport, Finding
from inferd.store.lifecycle.state import LifecycleState
from inferd.store.storage.state_file import NAME, StateFile

IMAGE_MB = 96
NOBODY = 65534
RIGHTS = "-dac_override,-dac_read_search"  # root, without what makes root read and write everywhere
POWERLESS = ("setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}")

ALONE = ("unshare", "--mount") if os.geteuid() == 0 else ()
"""What runs the doctor where what it mounts is seen by nobody else."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def doctor(config: Path, before: str = "true", *arguments: str, alone: tuple[str, ...] = ALONE) -> dict[str, Finding]:
    """Run the real doctor after `before`, in a mount namespace of its own."""
    program = shlex.join(
        [sys.executable, "-m", "inferd", "doctor", "--json", "--within", "30", "--config", str(config), *arguments]
    )
    environment = {
        "HOME": str(config.parent),
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        "PYTHONPATH": str(Path(inferd.__file__).parents[1]),
    }
    command = [*alone, "sh", "-ec", f"{before}; exec {program}"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode in (0, 1), done.stderr
    return {one.id: one for one in msgspec.json.decode(done.stdout, type=DoctorReport).findings}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a state folder."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def config(tmp_path: Path, state: Path) -> Path:
    """Return a configuration that uses it."""
    file, clip = tmp_path / "inferd.toml", bundled("digits") / "clip.avi"
    source = f'{{ kind = "video", path = "{clip}" }}'
    pipeline = f'[[pipeline]]\nname = "digits"\nmodel = "{bundled("digits")}"\nsource = {source}\n'
    file.write_text(f'state_dir = "{state}"\n[mqtt]\nenabled = false\n{pipeline}')
    return file


def image(folder: Path) -> str:
    """Return the commands that make an ext4 file system in a file and mount it."""
    file = folder.with_name("disk.img")
    return f"mke2fs -q -t ext4 {file} {IMAGE_MB}M >/dev/null && mount -o loop {file} {folder}"


needs_ext4 = pytest.mark.skipif(
    shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin") is None, reason="there is no mke2fs"
)


def test_a_usual_disk_is_well(config: Path) -> None:
    assert doctor(config) == {}


@needs_root
def test_a_folder_in_memory_is_named(config: Path, state: Path) -> None:
    findings = doctor(config, f"mount -t tmpfs tmpfs {state}")
    assert set(findings) == {"disk.memory"}


@needs_root
def test_a_small_folder_in_memory_is_full_as_well(config: Path, state: Path) -> None:
    findings = doctor(config, f"mount -t tmpfs -o size=1m tmpfs {state}")
    assert set(findings) == {"disk.memory", "disk.full"}


@needs_root
@needs_ext4
def test_a_full_disk_is_named(config: Path, state: Path) -> None:
    findings = doctor(config, f"{image(state)} && head -c 40M /dev/zero > {state}/filler")
    assert set(findings) == {"disk.full"}
    assert str(state) in findings["disk.full"].mend


@needs_root
@needs_ext4
def test_a_disk_that_the_kernel_made_read_only_is_named(config: Path, state: Path) -> None:
    findings = doctor(config, f"{image(state)} && mount -o remount,ro {state}")
    assert set(findings) == {"disk.read-only"}
    assert findings["disk.read-only"].mend == f"sudo mount -o remount,rw {state}"


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")
def test_a_folder_that_is_closed_to_us_is_named(config: Path, state: Path) -> None:
    shutil.chown(state, NOBODY)
    findings = doctor(config, alone=POWERLESS)
    assert set(findings) == {"disk.permission"}
    assert f" {state}" in findings["disk.permission"].mend


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")
def test_a_password_that_is_closed_to_us_is_named_and_the_broker_not_blamed(config: Path) -> None:
    password = config.with_name("password")
    password.write_text("right")
    password.chmod(0o600)
    shutil.chown(password, NOBODY)
    login = f'username = "a"\npassword_file = "{password}"\nport = 9'
    config.write_text(config.read_text().replace("enabled = false", login))
    assert set(doctor(config, alone=POWERLESS)) == {"broker.password-file"}


def test_a_folder_that_is_not_there_yet_is_a_note(config: Path, state: Path) -> None:
    state.rmdir()
    assert doctor(config)["disk.missing"].severity == "note"


def test_a_folder_that_is_not_there_yet_is_made_by_fix(config: Path, state: Path) -> None:
    state.rmdir()
    assert doctor(config, "true", "--fix") == {}
    assert state.is_dir()


def test_a_damaged_state_is_healed_by_fix_from_the_copy_before(config: Path, state: Path) -> None:
    for _ in range(2):
        StateFile(state).save(LifecycleState())
    (state / NAME).write_bytes(b"\0" * 100)
    assert set(doctor(config)) == {"disk.state"}
    assert doctor(config, "true", "--fix") == {}
    assert StateFile(state).load().healed == ""
