"""Sets a serial port up with termios of the standard library; docs/adr says why not pyserial."""

from __future__ import annotations

import fcntl
import termios
from contextlib import suppress

from inferd.errors import SourceError

SPEEDS = {
    int(name[1:]): int(getattr(termios, name)) for name in dir(termios) if name[0] == "B" and name[1:].isdecimal()
}
USUAL = 1200  # symbols a second; slower ones are not listed in messages


def set_up(fd: int, path: str, baud: int) -> None:
    """Have a port give bytes as they come: raw, 8 data bits, no parity; what it received before is thrown away.

    Args:
        fd: of the open port.
        path: named in errors.
        baud: symbols a second; 0 leaves it as it is.

    Raises:
        SourceError: there is no such baud rate, or the port refuses.
    """
    if baud and baud not in SPEEDS:
        rates = ", ".join(str(rate) for rate in sorted(SPEEDS) if rate >= USUAL)
        raise SourceError(path, f"has no baud rate of {baud}; there are {rates}")
    try:
        _, _, _, _, in_speed, out_speed, special = termios.tcgetattr(fd)
        speeds = [SPEEDS[baud]] * 2 if baud else [in_speed, out_speed]
        special[termios.VMIN], special[termios.VTIME] = 1, 0
        control = termios.CS8 | termios.CREAD | termios.CLOCAL  # without HUPCL: closing would reset many boards
        termios.tcsetattr(fd, termios.TCSANOW, [0, 0, control, 0, *speeds, special])
        termios.tcflush(fd, termios.TCIFLUSH)
    except termios.error as exc:
        raise SourceError(path, f"cannot be set to {baud or 'its'} baud ({exc.args[-1]})") from exc
    with suppress(OSError):  # a terminal without it
        fcntl.ioctl(fd, termios.TIOCEXCL)
