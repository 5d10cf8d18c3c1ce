"""A process as the kernel sees it: exit status, resource limits, parent-death signal."""

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
        memory_mb: address space beyond what the fork server had mapped already.
        cpu_s: processor time.
        nice: added to the fork server's.
        oom_score_adj: -1000..1000; the higher, the sooner the kernel kills it when memory is short.
        file_mb: largest file it may write.
        alone: whether it has no network.
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
        """The signal that killed it; 0 if none did."""
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
    """Have the kernel kill this process when its parent ends; end at once if it already has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def set_name(name: str) -> None:
    """Set the name in ps and top (15 bytes)."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def confine(limits: Limits) -> None:
    """Apply limits to this process; those that the kernel refuses (no right to lower a score) are skipped."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would fill an SD card
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
        _lower_priority(limits.nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(limits.oom_score_adj))


def hold_memory(share: float, meminfo: Path = Path("/proc/meminfo")) -> int:
    """Limit the data of this process, and of each child, to this share of the board's memory; return the limit in MB.

    It works without the memory cgroup, which is off on Raspberry Pi OS. RLIMIT_DATA counts private writable memory, not
    reserved address space: each thread reserves 64 MB that it never uses.
    """
    total_kb = int(meminfo.read_text().split("MemTotal:")[1].split()[0])
    allowed = int(total_kb * 1024 * share)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or allowed < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    else:
        allowed = soft
    return allowed // 1024**2


def _lower_priority(nice: int) -> None:
    """Lower the priority; if our unit's filter refuses setpriority, by a session of its own with a lower autogroup."""
    try:
        os.nice(nice)
    except OSError:
        with contextlib.suppress(OSError):  # sched(7), "The autogroup feature"
            os.setsid()
            Path("/proc/self/autogroup").write_text(str(nice))


def private_mb() -> float:
    """Return the private memory of this process, MiB; 0.0 if the kernel does not report it."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def _leave_network() -> None:
    """Enter a network namespace without interfaces, if the kernel allows it (root, or unprivileged namespaces)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def cpu_ns() -> int:
    """Return the processor time of all threads of this process."""
    return time.process_time_ns()
