"""A boot whose root cannot be written: only the state folder and /run can."""

from __future__ import annotations

import sys
from pathlib import Path

from common import Figures, check_all, shown, until


def the_root_is_read_only() -> Figures:
    """Or what follows would prove nothing."""
    try:
        Path("/etc/written").touch()
    except OSError as exc:
        return {"refused": exc.strerror}
    raise AssertionError("/etc can be written")


def it_serves_from_a_read_only_root() -> Figures:
    """Active, and inferring."""
    until("active", lambda: shown("ActiveState") == "active", 60)
    until("a rate", lambda: "fps" in shown("StatusText"), 30)
    return {"status": shown("StatusText")}


if __name__ == "__main__":
    sys.exit(check_all("readonly", [the_root_is_read_only, it_serves_from_a_read_only_root]))
