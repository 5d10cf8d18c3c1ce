"""Has the kernel start ARM programs with QEMU for as long as they are needed, and runs commands in a root of theirs."""

# ruff: noqa: S603, S607 - it starts the real programs, by full argument lists

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from inferd_tools.arm.boards import Kind

REGISTRY = Path("/proc/sys/fs/binfmt_misc")
RULES = Path("/usr/lib/binfmt.d")
SITE = "opt/site"


@contextmanager
def emulated(kind: Kind) -> Iterator[None]:
    """Register QEMU for this kind of ARM, unless it is already; take back what was registered here."""
    mounted = (REGISTRY / "register").exists()
    if not mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(REGISTRY)], check=True)
    rule = REGISTRY / kind.interpreter
    ours = not rule.exists()
    try:
        if ours:
            (REGISTRY / "register").write_text((RULES / f"{kind.interpreter}.conf").read_text())
        yield
    finally:
        if ours and rule.exists():
            rule.write_text("-1")
        if not mounted:
            subprocess.run(["umount", str(REGISTRY)], check=False)


class EmulatedRoot:
    """An unpacked root, in which commands run as they would on a board with such a processor."""

    def __init__(self, kind: Kind, folder: Path, read: Mapping[str, Path], out: Path) -> None:
        """Take a root that is there.

        Args:
            kind: of ARM.
            folder: of the root.
            read: folders of this machine that are seen there, read-only, by the names they have there.
            out: seen as /out, to write to.
        """
        self._kind = kind
        self._folder = folder
        self._read = read
        self._out = out
        self._live = folder.with_suffix(".live")
        self._cpuinfo = out / "cpuinfo"
        out.mkdir(parents=True, exist_ok=True)
        cores = len(os.sched_getaffinity(0))
        self._cpuinfo.write_text(kind.cpuinfo(cores))
        self._show_cores(cores)

    def run(self, command: list[str], environment: Mapping[str, str], limit_s: float) -> int:
        """Run a command to its end and return its exit code. Nothing of it outlives this call, nor what it changes in the root.

        Raises:
            TimeoutExpired: it took too long.
        """
        words = [f"{key}={value}" for key, value in {**self._environment(), **environment}.items()]
        inside = shlex.join(["env", "-i", *words, "unshare", f"--root={self._live}/root", "--wd=/src", *command])
        script = "\n".join([*self._mounts(), f"exec {inside}"])
        self._live.mkdir(exist_ok=True)
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "sh", "-ec", script]
        return subprocess.run(alone, stdin=subprocess.DEVNULL, timeout=limit_s, check=False).returncode

    def _mounts(self) -> list[str]:
        """Return the commands that make a system of the root; the kernel takes the mounts back with the namespace."""
        seen = {**self._read, "out": self._out}
        live = shlex.quote(str(self._live))
        layers = f"lowerdir={self._folder},upperdir={self._live}/changes,workdir={self._live}/work"
        shown = [
            f"mount --bind {'' if name == 'out' else '-o ro '}{shlex.quote(str(path))} {live}/root/{name}"
            for name, path in seen.items()
        ]
        return [
            f"mount -t tmpfs tmpfs {live}",
            f"cd {live} && mkdir changes work root",
            f"mount -t overlay overlay -o {shlex.quote(layers)} root",
            f"cd root && mkdir -p proc dev tmp {' '.join(seen)}",
            "mount -t proc proc proc",
            f"mount --bind {shlex.quote(str(self._cpuinfo))} proc/cpuinfo",
            "mount --rbind /dev dev",
            "mount -t tmpfs tmpfs tmp",
            *shown,
        ]

    def _show_cores(self, cores: int) -> None:
        """Write what the kernel tells of its cores: without it, XNNPACK does not start and takes no operator."""
        folder = self._folder / "sys/devices/system/cpu"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("possible", "present"):
            (folder / name).write_text(f"0-{cores - 1}\n")
        (folder / "kernel_max").write_text("255\n")

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/tmp",  # noqa: S108 - a folder of the root's own, empty each time
            "LANG": "C.UTF-8",
            "QEMU_CPU": self._kind.core,
            "LD_LIBRARY_PATH": os.pathsep.join(self._kind.libraries),
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": f"/{SITE}:/src/agent:/src/tools",
            "PYTHONPYCACHEPREFIX": "/out/python",  # kept: compiling under emulation takes long
        }
