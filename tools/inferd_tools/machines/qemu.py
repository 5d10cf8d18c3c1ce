"""Boots Debian in an emulated PC, with a kernel of its own: real drivers, control groups and watchdogs, no network.

Needs root (to lay out the disk), qemu-system-x86_64, mke2fs and, the first time, mmdebstrap and a Debian mirror. The root
is built once and kept. Nothing in it is quick: without KVM a processor is emulated, some thirty times slower than ours.
"""

# ruff: noqa: S603, S607 - it starts the real programs, by full argument lists

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from inferd_tools.machines import nspawn

PACKAGES = f"{nspawn.PACKAGES},linux-image-amd64,i2c-tools,alsa-utils"
NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "zstd": "zstd",
}
BOOT_S = 1800.0
SPARE_MB = 600  # of the disk, for what is written while it runs
MEMORY_MB = 1024
KERNEL_LINE = "root=/dev/vda rw console=ttyS0 quiet"
UNIT = """\
[Unit]
After=graphical.target
[Service]
Type=oneshot
ExecStart=/bin/sh /usr/local/sbin/verify
StandardOutput=truncate:/out/verify.log
StandardError=inherit
ExecStopPost=/bin/sh -c 'journalctl --no-pager -o short-monotonic > /out/verify.journal; systemctl poweroff --force --force'
TimeoutStartSec={limit_s:.0f}
RequiresMountsFor=/in /out
"""
VERIFY = """\
exec /usr/bin/python3 "/in/$(sed -n 's/.*verify=\\([a-z_]*\\).*/\\1/p' /proc/cmdline).py"
"""
SHARED = "{name} /{name} 9p trans=virtio,version=9p2000.L,cache=loose 0 0\n"


def missing() -> list[str]:
    """Return the Debian packages that are needed here and not installed."""
    return [package for program, package in NEEDED.items() if shutil.which(program) is None]


def root_archive(codename: str, cache: Path) -> Path:
    """Return the archive of a release's root with a kernel, made the first time."""
    return nspawn.root_archive(codename, cache, f"{codename}-kernel", PACKAGES)


class QemuMachine:
    """A disk that can be booted again and again; what is written to it is forgotten. Whoever made it removes its folder."""

    def __init__(self, archive: Path, folder: Path, package: Path | None = None, files: Sequence[Path] = ()) -> None:
        """Lay out the disk in `folder`.

        Args:
            archive: the root, as `root_archive` gives it.
            folder: for disk and kernel; must not exist.
            package: a Debian package that is installed on it, without being started.
            files: a drop-in of systemd's manager, each.
        """
        root = folder / "root"
        nspawn.unpack(archive, root)
        if package is not None:
            _install(root, package)
        for file in files:
            (root / "etc/systemd/system.conf.d").mkdir(exist_ok=True)
            shutil.copy(file, root / "etc/systemd/system.conf.d")
        for name in ("in", "out"):
            (root / name).mkdir()
        (root / "etc/fstab").write_text("".join(SHARED.format(name=name) for name in ("in", "out")))
        (root / "etc/systemd/system/serial-getty@ttyS0.service").symlink_to("/dev/null")
        (root / "usr/local/sbin/verify").write_text(VERIFY)
        nspawn.run_at_boot(root, "verify", UNIT.format(limit_s=BOOT_S))
        self._folder = folder
        self._disk = _disk(root, folder)

    def boot(self, inside: Path, name: str, out: Path, options: Sequence[str] = (), kernel: str = "panic=-1") -> float:
        """Boot, run `inside/name.py` after everything has started, and return how long it took until the power went off.

        Args:
            inside: a folder that is seen as /in.
            name: of the script; its output goes to `verify.log`, the journal to `verify.journal`.
            out: a folder that is seen as /out.
            options: more of qemu's.
            kernel: more on the kernel's command line.
        """
        command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB)]
        command += [
            "-nographic",
            "-no-reboot",
            "-nic",
            "none",
            "-drive",
            f"file={self._disk},format=raw,if=virtio,snapshot=on",
        ]
        command += ["-kernel", str(self._folder / "kernel"), "-initrd", str(self._folder / "initrd")]
        command += ["-append", f"{KERNEL_LINE} {kernel} verify={name}"]
        for tag, path in (("in", inside), ("out", out)):
            command += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap"]
        started = time.monotonic()
        with (out / f"{name}.console").open("wb") as console:
            subprocess.run(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                timeout=BOOT_S,
                check=False,
            )
        return time.monotonic() - started


def _install(root: Path, package: Path) -> None:
    shutil.copy(package, root / package.name)
    with_proc = 'mount -t proc proc "$0/proc" && exec chroot "$0" dpkg -i "$1"'  # systemd-tmpfiles asks for it
    command = ["unshare", "--mount", "sh", "-c", with_proc, str(root), f"/{package.name}"]
    subprocess.run(command, check=True, capture_output=True)
    (root / package.name).unlink()


def _disk(root: Path, folder: Path) -> Path:
    """Make disk, kernel and initrd of a root, and remove the root."""
    for name, pattern in (("kernel", "boot/vmlinuz-*"), ("initrd", "boot/initrd.img-*")):
        shutil.copy(max(root.glob(pattern)), folder / name)
    size_mb = int(
        subprocess.run(["du", "-sm", str(root)], check=True, capture_output=True, text=True).stdout.split()[0]
    )
    disk = folder / "disk"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk), f"{size_mb + SPARE_MB}M"], check=True)
    shutil.rmtree(root)
    return disk
