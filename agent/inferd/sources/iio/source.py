"""Sensors of the kernel's Industrial I/O: from their buffer where they have one that we may use, else value by value.

A value is (raw + offset) * scale; scale and offset stand beside a channel (in_accel_x_scale) or are shared by its kind
(in_accel_scale). Kernel: Documentation/ABI/testing/sysfs-bus-iio.
"""

from __future__ import annotations

import logging
from pathlib import Path

from inferd.config import settings
from inferd.errors import SourceError
from inferd.plugins import Source
from inferd.sources.iio.buffer_setup import NoBuffer
from inferd.sources.iio.buffered import Buffered
from inferd.sources.iio.polled import Polled
from inferd.sources.iio.sysfs import DEV, DEVICES, find_device
from inferd.system.clock import Clock

log = logging.getLogger(__name__)


def open_iio(options: settings.IioSource, clock: Clock, root: Path = DEVICES, dev: Path = DEV) -> Source:
    """Find the sensor and open it in the way that is asked for, or else the better one that works, which is told.

    Args:
        options: which sensor, which channels, how often, in which way.
        clock: stamps the frames.
        root: where the kernel shows its sensors.
        dev: where their nodes are.

    Raises:
        SourceError: there is no such sensor, no such channel, or no right to read it.
    """
    folder = find_device(options.device, root)
    if options.mode == "poll":
        return Polled(options, clock, folder)
    try:
        source = Buffered(options, clock, folder, dev / folder.name)
    except NoBuffer as exc:
        if options.mode == "buffer":
            raise SourceError(options.device, f"{exc}; mode poll reads it value by value") from exc
        log.info("%s is read value by value: %s", options.device, exc)
        return Polled(options, clock, folder)
    log.info("%s is read from its buffer", options.device)
    return source
