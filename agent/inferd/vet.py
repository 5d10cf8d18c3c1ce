"""The vet child: describes, loads, runs and frees a model in a process of its own, because a bad one can end the process.

What it sends is only half the verdict: the other half is how the process ends (`examination.py` puts them together).
"""

from __future__ import annotations

import gc
import hashlib
import os
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.errors import InferdError
from inferd.fitting import fitting_engine
from inferd.parts import ENGINES, Engine, find
from inferd.pipeline import build_steps
from inferd.records import Array, EngineInfo, ModelRef
from inferd.store.blobs import Blobs
from inferd.store.bundle import find_bundle
from inferd.store.describe import describe
from inferd.system.channel import Channel
from inferd.system.clock import SystemClock
from inferd.wire.manifest import FileFacts, InputSection, Manifest, ModelDescription, ModelSection, OutputSection

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
        channel.send(ipc.Examined(description, info), [fd] if fd is not None else [])
    return 0


def _identify(request: ipc.Examine) -> tuple[ModelDescription, str, int | None]:
    """Find out what the model is, and hold its file: a description, a path to load from, and its descriptor.

    Raises:
        ModelError: the file, its manifest or its labels are wrong.
        StoreError: it cannot be copied.
    """
    if request.engine.kind == "fake":
        return describe_fake(request), "", None
    path = Path(request.path)
    description = describe(path, request.overrides, None)
    file = find_bundle(path).model
    if request.blobs_dir:
        blobs = Blobs(Path(request.blobs_dir))
        fd = blobs.open_readonly(blobs.add(file).digest)
    else:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    return description, f"/proc/self/fd/{fd}", fd


def _run(description: ModelDescription, path: str, request: ipc.Examine) -> EngineInfo:
    """Load the model, run it on zeros, fit its task to it, and free it.

    Raises:
        InferdError: one of these fails.
    """
    fitting = fitting_engine(description, request.engine)
    engine: Engine = find("engine", ENGINES, fitting.kind)(path, fitting, SystemClock(), description.ref.name)
    with closing(engine):
        if not description.missing:
            build_steps(description, engine, WHOLE_PICTURE)
        for _ in range(RUNS):
            engine.write(_clear)
            engine.invoke()
        info = engine.info
    del engine
    gc.collect()
    return info


def _clear(inputs: Sequence[Array]) -> None:
    for view in inputs:
        view[...] = 0


def describe_fake(request: ipc.Examine) -> ModelDescription:
    """Describe what no file describes: the fake engine, as a classifier of as many classes as it has scores."""
    said = request.overrides
    task = said.task or "classify"
    labels = tuple(f"class {index}" for index in range(len(request.engine.fake.scores)))
    digest = hashlib.sha256(msgspec.json.encode((request.path, request.engine))).hexdigest()
    return ModelDescription(
        ref=ModelRef(Path(request.path).name, "", digest),
        manifest=Manifest(
            model=ModelSection(task=task),
            input=InputSection(color_order="rgb", resize="stretch", filter="linear", range=(0.0, 255.0), layout="nhwc"),
            output=OutputSection(
                label_offset=0, activation="none", threshold=said.threshold or 0.0, top_k=said.top_k or 5
            ),
        ),
        labels=labels,
        facts=FileFacts(0, "a fake engine", {}, (), (), (), (), metadata=False, min_runtime=""),
        told_by={},
    )
