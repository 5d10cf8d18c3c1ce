"""Runs inside a virtual machine with a real driver of a sensor; tells what the source reads from its buffer. No test itself.

The agent's own Python runs it, as the service's user: `runuser -u inferd -- /opt/inferd/bin/python3 iio.py DEVICE CHANNEL`.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing

import numpy as np

from inferd.config.settings import IioSource
from inferd.errors import FrameUnfinished
from inferd.plugins import Source
from inferd.records import Frame
from inferd.sources.iio.source import open_iio
from inferd.system.clock import SystemClock

PATIENCE = 30  # seconds, for an emulated processor


def read(source: Source) -> Frame | None:
    """Return the next window, None where it is not whole in a second."""
    try:
        return source.read(1.0)
    except FrameUnfinished:
        return None


def main(device: str, channel: str) -> None:
    """Print one window and the rate it came at, as JSON."""
    with closing(
        open_iio(IioSource(device=device, channels=(channel,), window=16, mode="buffer"), SystemClock())
    ) as source:
        frame = next(window for _ in range(PATIENCE) if (window := read(source)) is not None)
    sys.stdout.write(json.dumps({"rate_hz": frame.rate_hz, "window": np.asarray(frame.data).ravel().tolist()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
