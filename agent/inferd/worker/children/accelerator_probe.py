"""The probe child: tries a model on an accelerator, because a wrong pair of delegate and runtime crashes."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Sequence
from contextlib import closing

from inferd import ipc
from inferd.errors import InferdError
from inferd.plugins import ENGINES, Engine, find
from inferd.records import Array
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel

RUNS = 2  # the first after the warm-up may still load the model into the accelerator


def main(channel_fd: int) -> int:
    """Run the probe child; the fork server's entry.

    Args:
        channel_fd: the socket to control.

    Returns:
        0 once the result is sent.
    """
    channel: Channel[ipc.Probe, ipc.Probed] = Channel(socket.socket(fileno=channel_fd), ipc.Probe)
    received = channel.receive(None)
    assert received is not None  # noqa: S101 - without a timeout there is a message or an exception
    request, (fd,) = received
    try:
        result = _run(request, f"/proc/self/fd/{fd}")
    except InferdError as exc:
        result = ipc.Probed("", str(exc))
    gc.collect()  # freeing must not crash either
    os.close(fd)
    channel.send(result)
    return 0


def _run(request: ipc.Probe, path: str) -> ipc.Probed:
    """Load and run the model on zeros.

    Raises:
        InferdError: the accelerator refuses it.
    """
    make = find("engine", ENGINES, request.engine.kind)
    engine: Engine
    with closing(make(path, request.engine, SystemClock(), request.name)) as engine:
        for _ in range(RUNS):
            engine.write(_clear)
            engine.invoke()
        return ipc.Probed(engine.info.accelerator, "")


def _clear(inputs: Sequence[Array]) -> None:
    for view in inputs:
        view[...] = 0
