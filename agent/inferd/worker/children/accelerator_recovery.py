"""The recovery child: runs one step of an accelerator's recovery, because a reset may block for ever."""

from __future__ import annotations

import socket
from pathlib import Path

from inferd import ipc
from inferd.accelerators.table import by_name
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel


def main(channel_fd: int) -> int:
    """Run the step that control asks for; the fork server's entry.

    Args:
        channel_fd: the socket to control.

    Returns:
        0 once the result is sent.
    """
    channel: Channel[ipc.RecoverAccelerator, ipc.RecoveryDone]
    channel = Channel(socket.socket(fileno=channel_fd), ipc.RecoverAccelerator)
    received = channel.receive(None)
    assert received is not None  # noqa: S101 - without a timeout there is a message or an exception
    request = received[0]
    accelerator = by_name(request.accelerator)
    act = next((step.act for step in accelerator.recovery if step.name == request.step), None) if accelerator else None
    assert act is not None  # noqa: S101 - control asks for a step of the table
    channel.send(ipc.RecoveryDone(act(SystemClock().pause, Path(request.root))))
    return 0
