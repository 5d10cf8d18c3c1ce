"""Boots Debian in a container: systemd as PID 1, on a root that is built once and kept.

Needs root, systemd-nspawn (systemd-container) and, the first time, mmdebstrap and a Debian mirror.
"""

# ruff: noqa: S603, S607 - it starts the real programs, by full argument lists

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PACKAGES = "systemd,systemd-sysv,dbus,udev,kmod,procps,python3,python3-venv,mosquitto,mosquitto-clients,ca-certificates"
BARE = "systemd,systemd-sysv,dbus,sudo,ca-certificates"  # not even Python: what somebody who logs in finds everywhere
NEEDED = {"systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap", "zstd": "zstd"}
BOOT_S = 900.0
UNIT = """\
[Unit]
After=graphical.target
[Service]
Type=oneshot
ExecStart={program}
StandardOutput=file:/out/{name}.log
StandardError=inherit
ExecStopPost=/bin/sh -c 'journalctl --no-pager -o short-monotonic > /out/{name}.journal; systemctl exit $EXIT_STATUS'
TimeoutStartSec={limit_s:.0f}
"""


def missing() -> list[str]:
    """Return the Debian packages that are needed here and not installed."""
    return [package for program, package in NEEDED.items() if shutil.which(program) is None]


def root_archive(codename: str, cache: Path, name: str = "", packages: str = PACKAGES) -> Path:
    """Return the archive of a release's root with these packages, made the first time; `name` tells it from others."""
    archive = cache / f"{name or codename}.tar.zst"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = cache / f"{name or codename}.unfinished.tar.zst"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", codename, str(unfinished)]
        subprocess.run(command, check=True)
        unfinished.rename(archive)
    return archive


def unpack(archive: Path, root: Path) -> None:
    """Unpack a root as the folder `root`, which must not exist, and leave out what nobody waits for."""
    root.mkdir(parents=True)
    subprocess.run(["tar", "--zstd", "-xpf", str(archive), "-C", str(root), "--exclude=./dev/*"], check=True)
    for unit in ("console-getty.service", "getty@.service", "apt-daily.timer", "apt-daily-upgrade.timer"):
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (root / "etc/machine-id").write_text("")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")  # every installer writes it


def run_at_boot(root: Path, name: str, unit: str) -> None:
    """Have systemd start this unit with everything else."""
    (root / "etc/systemd/system" / f"{name}.service").write_text(unit)
    wanted = root / "etc/systemd/system/default.target.wants"
    wanted.mkdir(exist_ok=True)
    link = wanted / f"{name}.service"
    link.unlink(missing_ok=True)
    link.symlink_to(f"/etc/systemd/system/{name}.service")


class NspawnMachine:
    """A root that can be booted again and again. Owned by whoever removes it with `close()`."""

    def __init__(self, archive: Path, root: Path) -> None:
        """Unpack `archive` as `root`, which must not exist."""
        self.root = root
        unpack(archive, root)

    def boot(self, inside: Path, name: str, out: Path, options: Sequence[str] = ()) -> int:
        """Boot without a network, run a script after everything has started, and return its exit code.

        Args:
            inside: a folder that is seen as /in; the script there is `name.py`, or `name.sh` for a root without Python.
            name: of the script; its output goes to `name.log`, the journal to `name.journal`.
            out: a folder that is seen as /out.
            options: more of systemd-nspawn's.
        """
        return self._boot(inside, name, out, ["--private-network", *options])

    def boot_online(self, inside: Path, name: str, out: Path, options: Sequence[str] = ()) -> int:
        """Boot as `boot` does, but with this machine's network: for package indexes."""
        return self._boot(inside, name, out, ["--resolv-conf=copy-host", *options])

    def _boot(self, inside: Path, name: str, out: Path, options: Sequence[str]) -> int:
        python = (inside / f"{name}.py").exists()
        program = f"/usr/bin/python3 /in/{name}.py" if python else f"/bin/sh /in/{name}.sh"
        run_at_boot(self.root, "verify", UNIT.format(name=name, program=program, limit_s=BOOT_S))
        binds = [f"--bind={out}:/out", f"--bind-ro={inside}:/in"]
        command = ["systemd-nspawn", "-q", "--register=no", "--keep-unit", *binds]
        command += [*options, "-D", str(self.root), "--boot"]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_S, check=False)
        (out / f"{name}.console").write_bytes(ended.stdout + ended.stderr)
        return ended.returncode

    def close(self) -> None:
        """Remove the root. Twice is fine."""
        shutil.rmtree(self.root, ignore_errors=True)
