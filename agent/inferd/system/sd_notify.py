"""Service notifications to systemd: one datagram a message to the socket in $NOTIFY_SOCKET (sd_notify(3))."""

from __future__ import annotations

import socket

from inferd.foreign_text import printable

STATUS_CHARACTERS = 400  # what `systemctl status` shows on a few lines


class Notifier:
    """Sends notifications; without a socket, does nothing. Owned by one thread.

    Every method returns whether the message was sent. It never waits: if systemd does not receive, the caller sends
    again on the next occasion.
    """

    def __init__(self, address: str) -> None:
        """Send to the socket at this address.

        Args:
            address: a path, "@name" for an abstract socket, "" to send nothing.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> bool:
        """Report that the service has started, or has finished a reload."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> bool:
        """Report in one line what the service is doing."""
        return self._send(_status(text))

    def alive(self) -> bool:
        """Feed the watchdog (WatchdogSec=)."""
        return self._send("WATCHDOG=1")

    def reloading(self, now_ns: int) -> bool:
        """Report that a reload begins; `now_ns` is the monotonic time, which systemd compares."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> bool:
        """Report that the service is about to end."""
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
