"""Queries the firmware of a Raspberry Pi by its program `vcgencmd` (github.com/raspberrypi/utils, vcgencmd).

A call starts a process and takes 5 to 25 ms, so it belongs on a thread of its own. It needs /dev/vcio, and so group video.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from inferd.records import Unavailable

PLACES = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
WITHIN_S = 2.0


class Vcgencmd:
    """The program below a root, if there is one (`present`). Any thread may use it."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._program = next((file for place in PLACES if os.access(file := root / place, os.X_OK)), None)

    @property
    def present(self) -> bool:
        """Whether this device has the program."""
        return self._program is not None

    def ask(self, question: str) -> str | Unavailable:
        """Return the firmware's answer, such as "throttled=0x0"."""
        if self._program is None:
            return Unavailable(
                "there is no vcgencmd: this is not a Raspberry Pi, or libraspberrypi-bin is not installed"
            )
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program and fixed arguments
                [str(self._program), question], capture_output=True, text=True, timeout=WITHIN_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as exc:
            return Unavailable(f"vcgencmd {question} does not answer ({type(exc).__name__})")
        if done.returncode or not done.stdout:
            said = (done.stderr or done.stdout).strip().splitlines()
            why = said[0] if said else f"exit code {done.returncode}"
            return Unavailable(f"vcgencmd {question}: {why}; the user must be in the group video")
        return done.stdout
