"""What all tables of the configuration have in common."""

from __future__ import annotations

import msgspec


class ConfigTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Frozen, and an unknown key is an error."""
