"""What a process is to the kernel: how it ended, what it may use, who it dies with."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
from pathlib import Path

import msgspec

EX_SOFTWARE = 70  # sysexits.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_NAME = 15
CLONE_NEWUSER = 0x10000000  # linux/sched.h
CLONE_NEWNET = 0x40000000


class Limits(msgspec.Struct, frozen=True):
    """What a child may use; 0 leaves a limit as it is.

    Attributes:
        memory_mb: address space beyond what the seed had mapped already.
        cpu_s: processor time.
        nice: added to the seed's own.
        oom_score_adj: -1000..1000; the higher, the sooner the kernel kills it when memory is short.
        file_mb: largest file it may write.
        alone: whether it is cut off from the network and yields the processor to everything else.
    """

    memory_mb: int = 0
    cpu_s: int = 0
    nice: int = 0
    oom_score_adj: int = 0
    file_mb: int = 0
    alone: bool = False


class Exit(msgspec.Struct, frozen=True):
    """How a process ended: `status` as waitpid gives it."""

    status: int

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.status == 0

    @property
    def signal(self) -> int:
        """The signal that killed it; 0 where none did."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0

    @property
    def sentence(self) -> str:
        """What happened, in words: "was killed by SIGSEGV", "ended with exit code 3"."""
        if os.WIFSIGNALED(self.status):
            number = os.WTERMSIG(self.status)
            try:
                return f"was killed by {signal.Signals(number).name}"
            except ValueError:
                return f"was killed by signal {number}"
        code = os.waitstatus_to_exitcode(self.status)
        ours = ", by a fault of inferd's own; its log has the traceback" if code in (1, EX_SOFTWARE) else ""
        return f"ended with exit code {code}{ours}"


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once where it already has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def set_name(name: str) -> None:
    """Show as `name` (15 bytes) in ps and top."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def confine(limits: Limits) -> None:
    """Apply limits to this process; what the kernel refuses (no right to lower a score) is left as it was."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file of a model fills an SD card
    if limits.memory_mb:
        allowed = _mapped_bytes() + limits.memory_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    if limits.cpu_s:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    if limits.file_mb:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_mb * 1024 * 1024,) * 2)
    if limits.alone:
        _leave_network()
    if limits.nice:
        _step_back(limits.nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(limits.oom_score_adj))


def hold_memory(share: float, meminfo: Path = Path("/proc/meminfo")) -> int:
    """Let this process, and every child, each have at most this share of the board's memory for its data; return it in MB.

    It holds where the memory cgroup is off, as on Raspberry Pi OS. RLIMIT_DATA counts what is written to, not what is
    only reserved: threads reserve 64 MB of address space each that they never use.
    """
    total_kb = int(meminfo.read_text().split("MemTotal:")[1].split()[0])
    allowed = int(total_kb * 1024 * share)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or allowed < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    else:
        allowed = soft
    return allowed // 1024**2


def _step_back(nice: int) -> None:
    """Take less processor time than others; where our unit's filter refuses setpriority, as a session of its own."""
    try:
        os.nice(nice)
    except OSError:
        with contextlib.suppress(OSError):  # sched(7), "The autogroup feature"
            os.setsid()
            Path("/proc/self/autogroup").write_text(str(nice))


def private_mb() -> float:
    """Return the memory that this process shares with nobody, MiB; 0.0 where the kernel does not tell."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def _leave_network() -> None:
    """Move into a network of its own that has no interface, where the kernel lets us (root, or unprivileged namespaces)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def cpu_ns() -> int:
    """Return the processor time that all threads of this process have taken."""
    return time.process_time_ns()
