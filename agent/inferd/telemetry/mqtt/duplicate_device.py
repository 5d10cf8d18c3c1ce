"""Notices a second device of the same id: two SD cards written from one image. Pure."""

from __future__ import annotations

import msgspec

from inferd.wire.telemetry import Header

_header = msgspec.json.Decoder(Header)


def boot_id_of(payload: bytes) -> str:
    """Return the boot id in a message, "" where there is none."""
    try:
        return _header.decode(payload).boot_id
    except msgspec.MsgspecError:
        return ""


class DuplicateDeviceWatch:
    """Compares the `info` that we sent with the one that the broker has: what we did not say, somebody else did.

    The one from before our own arrived may be that of our start before this one; a later one can only be a twin's.
    """

    def __init__(self) -> None:
        self._ours = ""
        self._told = False
        self._where = ""

    def said(self, payload: bytes) -> None:
        """Learn our own boot id from an `info` that is about to leave."""
        self._ours = boot_id_of(payload) or self._ours

    def arrived(self) -> None:
        """Count our `info` as being with the broker."""
        self._told = bool(self._ours)

    def at(self, where: str) -> None:
        """Be at a broker; another than before may have the `info` of an earlier start."""
        if where != self._where:
            self._where, self._told = where, False

    def twin(self, payload: bytes) -> str:
        """Return the boot id of another device that says it is us, "" where this `info` is our own or an old one."""
        boot_id = boot_id_of(payload)
        return boot_id if self._told and boot_id not in ("", self._ours) else ""
