"""The one-shot child of `inferd infer`: the pipeline's own steps over given inputs, each to its end, nothing dropped."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from inferd import ipc
from inferd.capture import open_source
from inferd.config import settings
from inferd.errors import EndOfInput, EngineError, FrameError, InferdError, SourceError
from inferd.parts import ENGINES, find
from inferd.pipeline import Steps, build_steps, tick
from inferd.records import Frame
from inferd.system.channel import Channel
from inferd.system.clock import Clock, SystemClock
from inferd.tasks.draw import write_drawn

ToCli = Channel[ipc.Infer, ipc.FromOneshot]
WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
READ_S = 10.0  # files answer at once; what takes longer is told as a failed input


def main(channel_fd: int) -> int:
    """Be the one-shot child: the seed's entry.

    Args:
        channel_fd: the socket to the command line.

    Returns:
        0; what went wrong was sent.
    """
    channel: ToCli = Channel(socket.socket(fileno=channel_fd), ipc.Infer)
    received = channel.receive(None)
    assert received is not None  # noqa: S101 - without a timeout there is a message or an exception
    request, fds = received
    clock = SystemClock()
    try:
        make = find("engine", ENGINES, request.engine.kind)
        path = f"/proc/self/fd/{fds[0]}" if fds else ""
        with closing(make(path, request.engine, clock, request.description.ref.name)) as engine:
            steps = build_steps(request.description, engine, WHOLE_PICTURE)
            for options in request.sources:
                _infer_all(options, steps, request.draw_dir, channel, clock)
            channel.send(ipc.InferDone(engine.info))
    except InferdError as exc:
        channel.send(ipc.InputFailed(str(exc)))
    finally:
        for fd in fds:
            os.close(fd)
    return 0


def _infer_all(options: settings.Source, steps: Steps, draw_dir: str, channel: ToCli, clock: Clock) -> None:
    """Send the result of each frame of one input; what fails is sent as well, and the next one follows."""
    try:
        for frame in _frames(options, channel, clock):
            steps.engine.reset()  # inputs of one command have nothing to do with each other
            try:
                turn = tick(frame, steps, clock.monotonic_ns)
            except (SourceError, EngineError) as exc:
                channel.send(ipc.InputFailed(str(exc)))
                continue
            drawn = write_drawn(frame, turn.result, Path(draw_dir)) if draw_dir else ""
            channel.send(ipc.Inferred(turn, drawn))
    except SourceError as exc:
        channel.send(ipc.InputFailed(str(exc)))


def _frames(options: settings.Source, channel: ToCli, clock: Clock) -> Iterator[Frame]:
    """Yield the frames of a source to its end; tell of those that cannot be read.

    Raises:
        SourceError: the source cannot be opened, or fails.
    """
    with closing(open_source(options, clock)) as source:
        while True:
            try:
                yield source.read(READ_S)
            except FrameError as exc:
                channel.send(ipc.InputFailed(str(exc)))
            except EndOfInput:
                return
