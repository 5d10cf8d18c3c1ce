"""What all messages have in common."""

from __future__ import annotations

import msgspec


class IpcMessage(msgspec.Struct, frozen=True, tag=True):
    """What all messages have in common: on the wire they carry their class's name."""
