"""The one-shot child of `inferd infer`: the pipeline's own steps over given inputs, each to its end, nothing dropped."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from inferd import ipc
from inferd.config import settings
from inferd.errors import EndOfInput, EngineError, FrameError, InferdError, ModelError, SourceError
from inferd.parts import ENGINES, PaintsPixels, Task, find
from inferd.pipeline import Steps, build_steps, scene_ns, tick
from inferd.records import Frame, Result
from inferd.system.channel import Channel
from inferd.system.clock import Clock, SystemClock
from inferd.tasks.draw import bgr, draw, png
from inferd.tasks.follow import Follower
from inferd.worker.capture import open_source, settle

ToCli = Channel[ipc.Infer, ipc.FromOneshot]
WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
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
            drawings = Drawings(request.draw_dir)
            for options in request.sources:
                engine.reset()  # inputs of one command have nothing to do with each other, nor have the tasks' averages
                steps = build_steps(request.description, engine, WHOLE_PICTURE)
                _infer_all(options, steps, Follower(request.track), drawings, channel, clock)
            channel.send(ipc.InferDone(engine.info))
    except InferdError as exc:
        channel.send(ipc.InputFailed(str(exc)))
    finally:
        for fd in fds:
            os.close(fd)
    return 0


def _infer_all(
    options: settings.Source, steps: Steps, follower: Follower, drawings: Drawings, channel: ToCli, clock: Clock
) -> None:
    """Send the result of each frame of one input; what fails is sent as well, and the next one follows."""
    try:
        for frame in _frames(settle(options, steps.wanted), channel, clock):
            if isinstance(options, settings.ImagesSource):
                steps.engine.reset()  # pictures of one folder are strangers; frames, windows and samples follow each other
            try:
                turn = tick(frame, steps, clock.monotonic_ns)
                turn = replace(turn, result=follower.follow(turn.result, scene_ns(frame)))
            except (SourceError, EngineError, ModelError) as exc:
                channel.send(ipc.InputFailed(str(exc)))
                continue
            channel.send(ipc.Inferred(turn, drawings.write(frame, turn.result, steps.task)))
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


class Drawings:
    """Writes pictures with their results drawn on them; none of them replaces another one of the same command."""

    def __init__(self, folder: str) -> None:
        """Write to `folder`; "" writes nothing."""
        self._folder = folder
        self._written: set[Path] = set()

    def write(self, frame: Frame, result: Result, task: Task) -> str:
        """Write the frame with its result drawn on it; return the file, "" where there is nothing to draw on.

        Raises:
            SourceError: the file cannot be written.
        """
        if not self._folder or isinstance(frame.data, Mapping):
            return ""
        file = self._free(Path(frame.origin), frame.seq)
        overlay = task.overlay() if isinstance(task, PaintsPixels) else None
        try:
            file.write_bytes(png(draw(bgr(frame.data, frame.color_order), result, overlay)))
        except OSError as exc:
            raise SourceError(
                str(file), f"cannot be written ({exc.strerror}); name another folder with --draw"
            ) from exc
        return str(file)

    def _free(self, origin: Path, seq: int) -> Path:
        number = "" if origin.suffix.lower() in PICTURES else f"-{seq:06d}"
        first = free = Path(self._folder) / f"{origin.stem}{number}.png"
        copies = 1
        while free in self._written:
            copies += 1
            free = first.with_stem(f"{first.stem}-{copies}")
        self._written.add(free)
        return free
