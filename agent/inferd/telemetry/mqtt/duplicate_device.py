"""Notices a second device of the same id: two SD cards written from one image. Pure."""

from __future__ import annotations

import msgspec

from inferd.wire.decoding import decode
from inferd.wire.telemetry import Header

_header = msgspec.json.Decoder(Header)


def boot_id_of(payload: bytes) -> str:
    """Return the boot id in a message, "" where there is none."""
    try:
        return decode(_header, payload).boot_id
    except msgspec.MsgspecError:
        return ""


class DuplicateDeviceWatch:
    """Compares the `info` on the broker with the one that we sent.

    Any client that may publish can forge an `info`, so it proves nothing by itself and never costs the connection. A
    duplicate device also has our client id, so the broker ends our connection when it connects. Only both together count.

    Attributes:
        foreign: the boot id of the newest `info` that was not ours, "" for none.
        echoed: whether our own `info` came back.
    """

    def __init__(self) -> None:
        self.foreign = ""
        self.echoed = False
        self._ours = ""
        self._acknowledged = False
        self._address = ""

    def sent(self, payload: bytes) -> None:
        """Record our own `info`, which is about to be sent."""
        self._ours = boot_id_of(payload) or self._ours

    def acknowledged(self) -> None:
        """Record that the broker has our `info`."""
        self._acknowledged = bool(self._ours)

    @property
    def awaits_echo(self) -> bool:
        """Whether our `info` is with the broker and has not come back from it."""
        return self._acknowledged and not self.echoed

    def connected_to(self, address: str) -> None:
        """Record which broker this is: another one may still have the `info` of an earlier start."""
        self.echoed = False
        if address != self._address:
            self._address, self._acknowledged, self.foreign = address, False, ""

    def received(self, payload: bytes) -> None:
        """Record an `info` from the broker. Before ours was acknowledged it may be that of our own earlier start."""
        boot_id = boot_id_of(payload)
        if boot_id == self._ours:
            self.echoed = True
        elif self._acknowledged and boot_id:
            self.foreign = boot_id
