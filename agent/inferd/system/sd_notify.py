"""What a service tells systemd: one datagram a message to the socket that $NOTIFY_SOCKET names (sd_notify(3))."""

from __future__ import annotations

import socket

from inferd.foreign_text import printable

STATUS_CHARACTERS = 400  # what `systemctl status` shows of it on a few lines


class Notifier:
    """Speaks to systemd; without a socket to speak to, everything goes nowhere. Owned by one thread.

    Every method returns whether systemd took the message. It never waits: where systemd does not listen, the caller
    says it again when it next has reason to.
    """

    def __init__(self, address: str) -> None:
        """Speak to the socket at this address.

        Args:
            address: a path, "@name" for an abstract socket, "" for nobody.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> bool:
        """Say that the service has started, or has done with a reload."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> bool:
        """Say in one line what the service is doing."""
        return self._send(_status(text))

    def alive(self) -> bool:
        """Feed the watchdog (WatchdogSec=)."""
        return self._send("WATCHDOG=1")

    def reloading(self, now_ns: int) -> bool:
        """Say that the configuration is read again; `now_ns` is the monotonic time of this, which systemd compares."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> bool:
        """Say that the service is about to end."""
        return self._send("STOPPING=1")

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:  # gone, or its queue is full
            return False
        return True


def _status(text: str) -> str:
    return "STATUS=" + printable(text).replace("\n", " ")[:STATUS_CHARACTERS]
