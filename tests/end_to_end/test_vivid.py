"""A camera of a real kernel: Linux's virtual one, in a virtual machine. `make soak`; minutes, and a download of 150 MB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

import inferd

UNIT = """
[Unit]
After=basic.target
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh -c 'PYTHONPATH=/opt/site:/opt/agent python3 /opt/vivid_guest.py; systemctl poweroff --force --force'
TimeoutStartSec=900
"""
PACKAGES = "linux-image-amd64,systemd-sysv,udev,kmod,python3"
TOOLS = ("mmdebstrap", "mke2fs", "qemu-system-x86_64")


def build(folder: Path) -> None:
    """Make kernel, initrd and a disk with Debian 12, our agent and what it needs."""
    root = folder / "root"
    subprocess.run(
        ["mmdebstrap", "-q", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)], check=True
    )
    for package in (np, cv2, msgspec):
        here = Path(str(package.__file__)).parent
        for part in (here, *here.parent.glob(f"{here.name}.libs"), *here.parent.glob("opencv_python_headless.libs")):
            shutil.copytree(part, root / "opt" / "site" / part.name, dirs_exist_ok=True)
    shutil.copytree(Path(inferd.__file__).parent, root / "opt" / "agent" / "inferd")
    shutil.copy(Path(__file__).parents[1] / "fixtures" / "vivid_guest.py", root / "opt")
    units = root / "etc" / "systemd" / "system"
    (units / "verify.service").write_text(UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants" / "verify.service").symlink_to("../verify.service")
    (units / "serial-getty@ttyS0.service").symlink_to("/dev/null")
    shutil.copy(next(root.glob("boot/vmlinuz-*")), folder / "kernel")
    shutil.copy(next(root.glob("boot/initrd.img-*")), folder / "initrd")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(folder / "disk"), "1700M"], check=True)


def boot(folder: Path) -> dict[str, str]:
    """Return what the guest prints, by name."""
    command = [
        "qemu-system-x86_64",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-m",
        "1024",
        "-smp",
        "2",
        "-nographic",
    ]
    command += ["-no-reboot", "-kernel", str(folder / "kernel"), "-initrd", str(folder / "initrd")]
    command += ["-drive", f"file={folder / 'disk'},format=raw,if=virtio"]
    command += ["-append", "root=/dev/vda rw console=ttyS0 panic=-1 quiet"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=900, check=False)
    lines = [line for line in done.stdout.decode(errors="replace").splitlines() if "VERIFY " in line]
    return {name: told.strip() for name, _, told in (line.partition("VERIFY ")[2].partition(": ") for line in lines)}


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_a_camera_is_settled_with_read_refused_unplugged_and_back(tmp_path: Path) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() or sys.version_info[:2] != (3, 11):
        pytest.skip(f"needs root, Python 3.11 (Debian 12's), and: apt-get install {' '.join(TOOLS)}")
    build(tmp_path)
    told = boot(tmp_path)
    assert "width=320, height=180" in told["smallest"]
    assert told["smallest"].endswith("(180, 320, 3)")
    assert told["enlarged"].endswith("(2160, 3840, 3)")
    assert told["fast"].endswith("(720, 1280, 3)")
    assert "fourcc='NV12'" in told["planar"]
    assert told["planar"].endswith("(360, 640, 3)")
    assert told["busy"].startswith("/dev/video0: is busy or refuses to start")
    assert told["compressed"].startswith("/dev/video0: does not give H264; it gives ")
    assert told["nobody"] == "/dev/video0: may not be opened; add inferd's user to the group video"
    assert told["unplugged"] == "/dev/video0: has been unplugged; plug it in again; then (180, 320, 3)"
