"""The vet child: describes, loads, runs and frees a model in a process of its own, because a bad one can end the process.

What it sends is only half the verdict: the other half is how the process ends (`examination.py` puts them together).
"""

from __future__ import annotations

import gc
import os
import socket
from pathlib import Path

from inferd import ipc
from inferd.errors import InferdError
from inferd.parts import ENGINES, Engine, find
from inferd.pipeline import build_steps
from inferd.runtime.fake import describe_fake
from inferd.store.blobs import Blobs
from inferd.store.describe import describe, model_file
from inferd.system.channel import Channel
from inferd.system.clock import SystemClock
from inferd.wire.manifest import ModelDescription

WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
RUNS = 2  # the first after warm-up may still build caches; corrupted memory often shows only at the second


def main(channel_fd: int) -> int:
    """Be the vet child: the seed's entry.

    Args:
        channel_fd: the socket to whoever asks.

    Returns:
        0 when a report was sent.
    """
    channel: Channel[ipc.Examine, ipc.FromVet] = Channel(socket.socket(fileno=channel_fd), ipc.Examine)
    received = channel.receive(None)
    assert received is not None  # noqa: S101 - without a timeout there is a message or an exception
    request = received[0]
    description: ModelDescription | None = None
    try:
        description, path, fd = _identify(request)
        info = _run(description, path, request)
    except InferdError as exc:
        channel.send(ipc.ExamineFailed(exc.part, exc.message, description))
    else:
        channel.send(ipc.Examined(description, info), [fd])
    return 0
