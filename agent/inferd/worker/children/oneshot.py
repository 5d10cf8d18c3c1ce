"""The one-shot child of `inferd infer`: the pipeline's own steps over given inputs, each to its end, nothing dropped."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

from msgspec.structs import replace

from inferd import ipc
from inferd.config import settings
from inferd.errors import EndOfInput, EngineError, FrameError, InferdError, ModelError, SourceError
from inferd.pipeline import Steps, build_steps, scene_ns, tick
from inferd.plugins import ENGINES, Engine, PaintsPixels, Task, find
from inferd.records import Frame, Result
from inferd.sources.crops import cut
from inferd.system.clock import Clock, SystemClock
from inferd.system.processes.channel import Channel
from inferd.tasks.drawing.draw import bgr, draw, png
from inferd.tasks.rules.tracks_zones_lines import TrackingRules
from inferd.worker.capture import settle
from inferd.worker.cascade import best
from inferd.worker.opened_source import OpenedSource

ToCli = Channel[ipc.Infer, ipc.FromOneshot]
WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
MARGIN = settings.CropsSource(of="").margin
READ_S = 10.0  # files answer at once; what takes longer is told as a failed input

Look = Callable[[Frame, Result], Result]


def main(channel_fd: int) -> int:
    """Run the one-shot child; the fork server's entry.

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
        with ExitStack() as stack:
            paths = [f"/proc/self/fd/{fd}" for fd in fds] or [""]
            engine = stack.enter_context(_load(request, paths[0], clock))
            closer = stack.enter_context(_load(request.closer, paths[-1], clock)) if request.closer else None
            drawings = Drawings(request.draw_dir)
            for options in request.sources:
                engine.reset()  # state is not carried over from one input to the next
                steps = build_steps(request.description, engine, WHOLE_PICTURE)
                look = _look_closer(request.closer, closer, clock) if request.closer and closer else None
                _infer_all(options, steps, TrackingRules(request.track), look, drawings, channel, clock)
            channel.send(ipc.InferDone(engine.info))
    except InferdError as exc:
        channel.send(ipc.InputFailed(str(exc)))
    finally:
        for fd in fds:
            os.close(fd)
    return 0


def _load(wanted: ipc.Infer | ipc.SecondModel, path: str, clock: Clock) -> AbstractContextManager[Engine]:
    """Load a model; it is closed at the end of the context."""
    engine: Engine = find("engine", ENGINES, wanted.engine.kind)(
        path, wanted.engine, clock, wanted.description.ref.name
    )
    return closing(engine)


def _look_closer(wanted: ipc.SecondModel, engine: Engine, clock: Clock) -> Look:
    """Return what adds to each object of a result what the second model sees in it."""
    steps = build_steps(wanted.description, engine, WHOLE_PICTURE)
    name = wanted.description.ref.name

    def look(frame: Frame, result: Result) -> Result:
        boxes = [(box, cut(frame, box, MARGIN)) for box in result.boxes or ()]
        seen = [
            (box, None if crop is None else best(tick(crop, steps, clock.monotonic_ns).result)) for box, crop in boxes
        ]
        joined = tuple(box if label is None else replace(box, closer={name: label}) for box, label in seen)
        return replace(result, boxes=joined) if joined else result

    return look


def _infer_all(
    options: settings.Source,
    steps: Steps,
    tracker: TrackingRules,
    look: Look | None,
    drawings: Drawings,
    channel: ToCli,
    clock: Clock,
) -> None:
    """Send the result of each frame of one input; what fails is sent as well, and the next one follows."""
    try:
        for frame in _frames(settle(options, steps.wanted), channel, clock):
            try:
                turn = tick(frame, steps, clock.monotonic_ns)
                result = tracker.follow(turn.result, scene_ns(frame))
                turn = replace(turn, result=result if look is None else look(frame, result))
            except (SourceError, EngineError, ModelError) as exc:
                channel.send(ipc.InputFailed(str(exc)))
                continue
            channel.send(ipc.Inferred(turn, drawings.write(frame, turn.result, steps.task)))
    except SourceError as exc:
        channel.send(ipc.InputFailed(str(exc)))


def _frames(options: settings.Source, channel: ToCli, clock: Clock) -> Iterator[Frame]:
    """Yield the frames of a source to its end; report those that cannot be read.

    Pictures do not follow each other: each counts as an opening of its own, so that no state is carried over.

    Raises:
        SourceError: the source cannot be opened, or fails.
    """
    opening, pictures = 0, isinstance(options, settings.ImagesSource)
    with closing(OpenedSource(options, clock)) as source:
        while True:
            try:
                yield dataclasses.replace(source.read(READ_S), opening=opening)
                opening += pictures
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
