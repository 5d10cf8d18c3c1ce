"""Tries to bring a wedged Edge TPU stick back, in a child process: resets block for seconds, and some never return."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from inferd import ipc
from inferd.system import usb
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel

STICKS = ("1a6e:089a", "18d1:9302")  # a Coral stick before and after it got its firmware
SETTLE_S = 2.0  # what a stick takes to come back on the bus


def main(channel_fd: int) -> int:
    """Be the mending child: the seed's entry.

    Args:
        channel_fd: the socket to control.

    Returns:
        0 when it was told what came of it.
    """
    channel: Channel[ipc.RecoverUsb, ipc.UsbRecovered] = Channel(socket.socket(fileno=channel_fd), ipc.RecoverUsb)
    received = channel.receive(None)
    assert received is not None  # noqa: S101 - without a timeout there is a message or an exception
    root = Path(received[0].root)
    channel.send(ipc.UsbRecovered(mend(received[0].step, SystemClock().pause, root / "sys", root / "dev")))
    return 0


def mend(step: str, pause: Callable[[float], None], sys: Path = usb.SYS, dev: Path = usb.DEV) -> str:
    """Do one step for every stick there is, and return in words what came of it.

    Args:
        step: "usb_reset" or "port_power".
        pause: waits so many seconds.
        sys: where sysfs is.
        dev: where device nodes are.
    """
    sticks = usb.find(STICKS, sys, dev)
    if not sticks:
        return "there is no Coral stick on the bus; plug it in, or check its cable and power"
    told = [_mend_one(step, stick, pause) for stick in sticks]
    pause(SETTLE_S)
    return "; ".join(told)


def _mend_one(step: str, stick: usb.UsbDevice, pause: Callable[[float], None]) -> str:
    """Do the step's ways for one stick until one of them is allowed."""
    ways: tuple[tuple[str, Callable[[], None]], ...] = (
        (f"the stick at {stick.port} was reset", lambda: usb.reset(stick)),
        (f"the stick at {stick.port} was taken off the bus and put back", lambda: usb.reauthorize(stick)),
    )
    if step == "port_power":
        ways = ((f"the port {stick.port} was without power for a moment", lambda: usb.power_cycle(stick, pause)),)
    refused = []
    for done, act in ways:
        try:
            act()
        except OSError as exc:
            refused.append(f"{done}: not done ({exc.strerror or exc})")
        else:
            return done
    return ", ".join(refused)
