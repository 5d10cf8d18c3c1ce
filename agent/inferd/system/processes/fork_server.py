"""The fork server: a single-threaded process with the heavy imports done, from which workers and vet children are forked.

A fork costs a few milliseconds and shares the imported pages; a fresh process repeats the imports, in time and in
private memory. multiprocessing's forkserver does the same, but runs a resource tracker (one more process), imports the
caller's main module into each child, and gives no pidfd, without which a kill by number can hit another process.

`ForkServer` is control's end; `python -m inferd.system.processes.fork_server FD` is the process. Each child gets descriptors and
runs one function; the kernel ends it with the fork server, and the fork server with control.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import Self

import msgspec

from inferd.errors import ForkRefused, WorkerError
from inferd.system.processes.channel import Channel, ChannelClosed, channel_pair
from inferd.system.processes.process import Exit, Limits, confine, die_with_parent, set_name

START_S = 60.0  # imports from a cold SD card
FORK_S = 10.0


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Requests a child that runs `entry` ("module:function"); its descriptors are attached."""

    entry: str
    name: str
    limits: Limits


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The imports are done; `missing` names what could not be imported, and why."""

    missing: tuple[str, ...]


class Forked(msgspec.Struct, frozen=True, tag=True):
    """A child runs; its pidfd is attached."""

    pid: int


class ForkFailed(msgspec.Struct, frozen=True, tag=True):
    """The kernel refused a child: no memory, or too many processes."""

    why: str


class Exited(msgspec.Struct, frozen=True, tag=True):
    """A child ended."""

    pid: int
    exit: Exit


ToControl = Ready | Forked | ForkFailed | Exited


class Child:
    """A forked child, identified by its pidfd; owned by the caller of `fork`."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd

    def kill(self) -> None:
        """Send SIGKILL, unless the child has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait_gone(self, timeout_s: float) -> bool:
        """Return whether the process has ended within `timeout_s` (its parent may still have to reap it)."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def close(self) -> None:
        """Close the pidfd. Idempotent."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class ForkServer:
    """Control's end: forks children and reports how they ended. Owned by one thread."""

    def __init__(
        self, preload: Sequence[str], environment: Mapping[str, str] | None = None, stderr: int | None = None
    ) -> None:
        """Start the process.

        Args:
            preload: modules it imports before it forks; none of them may leave threads behind.
            environment: variables to add or replace.
            stderr: where it and its children write errors; None shares ours.
        """
        ours, theirs = channel_pair()
        command = [sys.executable, "-P", "-m", "inferd.system.processes.fork_server", str(theirs.fileno()), *preload]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, pass_fds=[theirs.fileno()], env={**os.environ, **(environment or {})}, stderr=stderr
        )
        theirs.close()
        self._channel: Channel[ToControl, Fork] = Channel(ours, ToControl)  # type: ignore[arg-type]  # a union is no class
        self._exits: list[Exited] = []
        self.missing: tuple[str, ...] = ()
        self.ready = self.greeted = False

    @property
    def pid(self) -> int:
        """The process number of the fork server."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a child has ended, for a selector."""
        return self._channel.fileno()

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until the imports are done.

        Raises:
            WorkerError: the fork server died, or takes longer than `timeout_s`.
        """
        while not self.ready:
            if self._receive(timeout_s) is None:
                raise WorkerError("fork server", f"its imports took longer than {timeout_s:.0f} s")

    def fork(self, entry: str, name: str, fds: Sequence[int], limits: Limits = Limits()) -> Child:  # noqa: B008 - frozen
        """Fork a child that calls `entry(*fds)` and exits with the result.

        Raises:
            ForkRefused: the kernel refuses; trying again later is allowed.
            WorkerError: the fork server is gone or does not answer; a new one is needed.
        """
        self.wait_ready()
        try:
            self._channel.send(Fork(entry, name, limits), fds)
        except ChannelClosed:
            raise self._gone() from None
        while (answer := self._receive(FORK_S)) is not None:
            message, received = answer
            if isinstance(message, Forked):
                return Child(message.pid, received[0])
            if isinstance(message, ForkFailed):
                raise ForkRefused("fork server", f"the kernel refuses another process ({message.why}); free memory")
        raise WorkerError("fork server", f"it forked nothing within {FORK_S:.0f} s")

    def exits(self) -> list[Exited]:
        """Return which children have ended since the last call, without waiting.

        Raises:
            WorkerError: the fork server is gone, and with it every child.
        """
        while self._receive(0.0) is not None:
            pass
        ended, self._exits = self._exits, []
        return ended

    def wait_exit(self, child: Child, timeout_s: float) -> Exit | None:
        """Wait until `child` has ended and return how; None if it still runs after `timeout_s`.

        Raises:
            WorkerError: the fork server is gone.
        """
        child.wait_gone(timeout_s)
        while True:
            for ended in self._exits:
                if ended.pid == child.pid:
                    self._exits.remove(ended)
                    return ended.exit
            if self._receive(0.2 if child.wait_gone(0) else 0.0) is None:
                return None

    def close(self) -> None:
        """End the fork server and every child. Idempotent."""
        self.ready = False
        self._channel.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _how_it_ended(self) -> str:
        when = "" if self.greeted else " before its imports were done"
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return f"closed its channel{when}"
        return f"was killed by {signal.Signals(-code).name}{when}" if code < 0 else f"ended with exit code {code}{when}"

    def _gone(self) -> WorkerError:
        """Return the error that says how the fork server ended."""
        self.ready = False
        return WorkerError("fork server", f"it {self._how_it_ended()}")

    def _receive(self, timeout_s: float) -> tuple[ToControl, list[int]] | None:
        try:
            received = self._channel.receive(timeout_s)
        except ChannelClosed:
            raise self._gone() from None
        if received is None:
            return None
        message = received[0]
        if isinstance(message, Exited):
            self._exits.append(message)
        elif isinstance(message, Ready):
            self.ready = self.greeted = True
            self.missing = message.missing
        return received


def main(arguments: Sequence[str]) -> int:
    """Run the fork server: import, then fork a child for each request until control is gone."""
    die_with_parent(os.getppid())
    set_name("inferd-forksrv")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the terminal sends them to every process; control decides
    channel: Channel[Fork, ToControl] = Channel(socket.socket(fileno=int(arguments[0])), Fork)
    wake = _wake_on_child()
    channel.send(Ready(_import_all(arguments[1:])))
    gc.collect()
    gc.freeze()  # or the children's collector would touch, and so copy, every shared page
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if wake.fileno() in ready:
            wake.recv(4096)
            _report_ended(channel)
        if channel.fileno() in ready:
            status = _fork_one(channel)
            if status is not None:
                return status


def _import_all(modules: Sequence[str]) -> tuple[str, ...]:
    missing = []
    for module in modules:
        try:
            import_module(module)
        except ImportError as exc:
            missing.append(f"{module}: {exc}")
    return tuple(missing)


def _wake_on_child() -> socket.socket:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(theirs.detach())
    return ours


def _report_ended(channel: Channel[Fork, ToControl]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        channel.send(Exited(pid, Exit(status)))


def _fork_one(channel: Channel[Fork, ToControl]) -> int | None:
    """Serve one request. Returns None in the fork server; in the child its exit code; 0 when control is gone."""
    try:
        received = channel.receive(0)
    except ChannelClosed:
        return 0
    if received is None:
        return None
    request, fds = received
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as exc:
        pid = -1
        channel.send(ForkFailed(str(exc.strerror)))
    if pid == 0:
        channel.close()
        return _run_child(request, fds, parent)
    for fd in fds:
        os.close(fd)
    if pid > 0:
        pidfd = os.pidfd_open(pid)
        channel.send(Forked(pid), [pidfd])
        os.close(pidfd)
    return None


def _run_child(request: Fork, fds: Sequence[int], parent: int) -> int:
    die_with_parent(parent)
    set_name(request.name)
    os.close(signal.set_wakeup_fd(-1))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    confine(request.limits)
    module, function = request.entry.split(":")
    entry = getattr(import_module(module), function)
    return int(entry(*fds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
