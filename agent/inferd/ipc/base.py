"""The base of all messages."""

from __future__ import annotations

import msgspec


class IpcMessage(msgspec.Struct, frozen=True, tag=True):
    """Base of all messages: tagged with the class name."""
