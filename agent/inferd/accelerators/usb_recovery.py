"""Recovers a wedged USB accelerator. Call it in a child process: a reset blocks for seconds, and some never return."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inferd.system import usb

SETTLE_S = 2.0  # what a stick takes to come back on the bus
Pause = Callable[[float], None]
Action = tuple[str, Callable[[], None]]
"""What was done, in words, and the call that does it."""


def reset(ids: tuple[str, ...], title: str, pause: Pause, root: Path) -> str:
    """Reset each device with one of these USB ids; return what was done.

    Args:
        ids: such as "18d1:9302".
        title: of the device, for the sentence if there is none.
        pause: waits so many seconds.
        root: where /sys and /dev are.
    """

    def actions(device: usb.UsbDevice) -> tuple[Action, ...]:
        return (
            (f"reset the stick at {device.port}", lambda: usb.reset(device)),
            (f"took the stick at {device.port} off the bus and put it back", lambda: usb.reauthorize(device)),
        )

    return _recover_each(ids, title, pause, root, actions)


def cut_port_power(ids: tuple[str, ...], title: str, pause: Pause, root: Path) -> str:
    """Switch off and on the USB port of each device with one of these ids; return what was done. Arguments: `reset`."""

    def actions(device: usb.UsbDevice) -> tuple[Action, ...]:
        return ((f"switched the port {device.port} off and on", lambda: usb.power_cycle(device, pause)),)

    return _recover_each(ids, title, pause, root, actions)


def _recover_each(
    ids: tuple[str, ...], title: str, pause: Pause, root: Path, actions: Callable[[usb.UsbDevice], tuple[Action, ...]]
) -> str:
    devices = usb.find(ids, root)
    if not devices:
        return f"there is no {title} on the bus; plug it in, or check its cable and power"
    done = [_first_allowed(actions(device)) for device in devices]
    pause(SETTLE_S)
    return "; ".join(done)


def _first_allowed(actions: tuple[Action, ...]) -> str:
    """Try the actions in order until the kernel allows one; return what was done, else why each was refused."""
    refused = []
    for done, act in actions:
        try:
            act()
        except OSError as exc:
            refused.append(f"could not do this: {done} ({exc.strerror or exc})")
        else:
            return done
    return ", ".join(refused)
