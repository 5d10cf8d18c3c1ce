"""The vet child: copies, describes, loads, runs and frees a model in a process of its own, because a bad one can end it.

What it sends is only half the verdict: the other half is how the process ends (`vet_job.py` puts them together).
"""

from __future__ import annotations

import gc
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.errors import InferdError, ModelCutOff, StoreError
from inferd.foreign_text import printable
from inferd.records import ModelRef
from inferd.runtime.fake import read_fake
from inferd.store.description.bundle import PICTURE_SUFFIXES, Bundle, find_bundle, golden_files
from inferd.store.description.cpu_fallback import find_cpu_version
from inferd.store.description.describe import describe
from inferd.store.description.label_formats import LABEL_SUFFIXES
from inferd.store.description.manifest_file import MANIFEST_MAX_BYTES, parse_manifest
from inferd.store.formats.bounded_file import ModelFile, read_small
from inferd.store.storage.bundle_store import BundleStore, StagedBundle
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel
from inferd.vet.cpu_fallback import on_cpu, open_cpu_version
from inferd.vet.gates import NO_MEMORY, Gates
from inferd.vet.side_by_side import ExaminedModel, SideBySide
from inferd.wire.manifest import InputSection, Manifest, ModelDescription, ModelFileFacts, OutputSection

DIGEST_HEADER = "inferd proven bundle 1\n"

ToAsker = Channel[ipc.Examine, ipc.FromVet]


def main(channel_fd: int) -> int:
    """Run the vet child; the fork server's entry.

    Args:
        channel_fd: the socket to the process that asks.

    Returns:
        0 when a report was sent.
    """
    channel: ToAsker = Channel(socket.socket(fileno=channel_fd), ipc.Examine)
    received = channel.receive(None)
    assert received is not None  # noqa: S101 - without a timeout there is a message or an exception
    request = received[0]
    try:
        with _lend(request) as (path, copied):
            _examine(request, path, copied, channel)
    except StoreError as exc:
        channel.send(ipc.ExamineFailed(exc.part, exc.message, code="store", again=True))
    except ModelCutOff as exc:
        channel.send(ipc.ExamineFailed(exc.part, exc.message, code="cut_off"))
    except InferdError as exc:
        channel.send(ipc.ExamineFailed(exc.part, exc.message, code=_file_code(exc.part)))
    except Exception as exc:  # noqa: BLE001 - whatever bytes of a stranger make a reader raise, they are refused for it
        name = os.path.basename(request.path)  # noqa: PTH119 - a name, not a file
        why = printable(f"it made inferd fail with {type(exc).__name__}: {exc}; please report it")
        channel.send(ipc.ExamineFailed(name, why, code="bad_file"))
    return 0


@contextmanager
def _lend(request: ipc.Examine) -> Iterator[tuple[Path, StagedBundle | None]]:
    """Give the path of what is to be described: a copy in the store, or the file itself.

    Raises:
        InferdError: there is no such model, or it cannot be copied.
    """
    path = Path(request.path)
    if not request.store_dir or (request.engine.kind == "fake" and not path.exists()):
        yield path, None
        return
    with BundleStore(Path(request.store_dir)).copy(path, no_links=bool(request.files)) as copied:
        yield copied.path, copied


def _examine(request: ipc.Examine, path: Path, copied: StagedBundle | None, channel: ToAsker) -> None:
    """Describe a model, try the gates, put it into the store, and send the verdict.

    Raises:
        InferdError: it cannot be described, or the store refuses it.
    """
    if not all(map(_unchanged, request.files)):
        channel.send(ipc.ExamineFailed(path.name, "changed while it was copied", code="changed", again=True))
        return
    description, fd = identify(path, request)
    digest = description.ref.digest
    if digest in request.stop_at:
        channel.send(ipc.ExamineFailed(path.name, "is known already", description, code="known"))
        return
    fallback = open_cpu_version(path, request, description)
    with ExitStack() as held:
        subject = ExaminedModel(description, path, f"/proc/self/fd/{fd}" if fd is not None else request.path)
        if fallback is not None:
            subject = ExaminedModel(fallback.description, path, f"/proc/self/fd/{fallback.fd}", by_cpu_version=True)
            request = msgspec.structs.replace(request, engine=on_cpu(request.engine))
        wanted = request.gates and digest not in request.trusted
        models = SideBySide(subject, _against(request, held) if wanted else None, request, SystemClock(), held)
        gates = Gates(models)
        refused = _try(gates, description, channel) if wanted else _try_quickly(gates, models)
        if refused is not None:
            channel.send(refused)
            return
        info, verified, private_mb = models.candidate.info, gates.verified, models.candidate.private_mb
    del gates, models
    gc.collect()
    if copied is not None:
        BundleStore(Path(request.store_dir)).put(copied, digest)
    root, size_bytes = (copied.root, copied.size_bytes) if copied else ("", 0)
    fds = [each for each in (fd, fallback.fd if fallback else None) if each is not None]
    by_cpu_version = fallback.description if fallback else None
    channel.send(ipc.Examined(description, info, root, size_bytes, verified, by_cpu_version, private_mb), fds)


def _try(gates: Gates, description: ModelDescription, channel: ToAsker) -> ipc.ExamineFailed | None:
    """Try all gates and send the result of each; return the refusal, None where there is none."""
    for gate in gates:
        channel.send(ipc.GateJudged(gate))
        if gate.finding == "fail":
            return ipc.ExamineFailed(description.ref.name, gate.why, description, gate.code)
    return None


def _try_quickly(gates: Gates, models: SideBySide) -> ipc.ExamineFailed | None:
    """Try whether a model loads and runs, and fits its task where that is known."""
    description = models.subject.description
    try:
        gate = gates.loads()
    except MemoryError:
        return ipc.ExamineFailed(description.ref.name, NO_MEMORY, description, "memory")
    if gate.finding == "fail":
        return ipc.ExamineFailed(description.ref.name, gate.why, description, gate.code)
    if not description.missing:
        try:
            _ = models.candidate.steps
        except InferdError as exc:
            return ipc.ExamineFailed(exc.part, exc.message, description, "task_mismatch")
    return None


def identify(path: Path, request: ipc.Examine) -> tuple[ModelDescription, int | None]:
    """Find out what a model is, and hold its file: a description and a descriptor.

    Raises:
        ModelError: the file, its manifest or its labels are wrong.
    """
    if request.engine.kind == "fake":
        description = describe_fake(msgspec.structs.replace(request, path=str(path)))
        if not path.exists():
            return description, None
    else:
        description = describe(path, request.overrides, None)
    bundle = find_bundle(path)
    fd = os.open(bundle.model, os.O_RDONLY | os.O_CLOEXEC)
    return _prove(description, bundle), fd


def _prove(description: ModelDescription, bundle: Bundle) -> ModelDescription:
    """Return the description with a digest that also covers golden files and the CPU version, so that fixed ones are new."""
    named = golden_files(description.manifest)
    fallback = find_cpu_version(bundle.model)
    golden = [bundle.model.parent / name for name in named]
    others = [
        *filter(Path.exists, golden),
        *([fallback] if fallback is not None else []),
    ]  # what is missing is refused when it is read
    if not others:
        return description
    lines = [DIGEST_HEADER, f"bundle {description.ref.digest}\n"]
    for other in others:
        with ModelFile(other) as file:
            lines.append(f"{printable(other.name)} {file.sha256()}\n")
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return msgspec.structs.replace(description, ref=msgspec.structs.replace(description.ref, digest=digest))


def _against(request: ipc.Examine, held: ExitStack) -> ExaminedModel | None:
    """Return the model that serves now; None where there is none or it cannot be read any more."""
    if not request.against:
        return None
    path = Path(request.against)
    try:
        description, fd = identify(path, request)
    except (InferdError, OSError):  # a store that lost it says nothing of the new one
        return None
    if fd is None:
        return None
    held.callback(os.close, fd)
    if (fallback := open_cpu_version(path, request, description)) is not None:
        held.callback(os.close, fallback.fd)
        return ExaminedModel(fallback.description, path, f"/proc/self/fd/{fallback.fd}")
    return ExaminedModel(description, path, f"/proc/self/fd/{fd}")


def _unchanged(listed: ipc.Listed) -> bool:
    try:
        found = os.lstat(listed.path)
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns, found.st_ino) == (listed.size, listed.mtime_ns, listed.inode)


def _file_code(part: str) -> str:
    if part.endswith(".toml"):
        return "bad_manifest"
    if part.endswith((".npz", *PICTURE_SUFFIXES)):
        return "bad_samples"
    return "bad_labels" if part.endswith(LABEL_SUFFIXES) else "bad_file"


def describe_fake(request: ipc.Examine) -> ModelDescription:
    """Describe what no file describes: the fake engine, as a classifier of as many classes as it has scores.

    Raises:
        InferdError: there is a file, and it or its manifest is wrong.
    """
    path = Path(request.path)
    if not path.exists():
        content = msgspec.json.encode((request.path, request.engine))
        return _describe_fake(request, request.engine.fake, Manifest(), ModelRef(path.name, "", _sha256(content)))
    bundle = find_bundle(path)
    fake = read_fake(str(bundle.model), request.engine, bundle.model.name)
    written = read_small(bundle.manifest, MANIFEST_MAX_BYTES) if bundle.manifest else b""
    said = parse_manifest(bundle.manifest.name, written) if bundle.manifest else Manifest()
    version = said.model.version or bundle.version
    digest = _sha256(bundle.model.read_bytes() + b"\0" + written)
    variant = said.model.variant or bundle.variant or None
    said = msgspec.structs.replace(said, model=msgspec.structs.replace(said.model, variant=variant))
    return _describe_fake(request, fake, said, ModelRef(said.model.name or bundle.title, version, digest))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _describe_fake(request: ipc.Examine, fake: settings.FakeEngine, said: Manifest, ref: ModelRef) -> ModelDescription:
    asked = request.overrides
    model = msgspec.structs.replace(said.model, task=asked.task or said.model.task or "classify")
    output = OutputSection(label_offset=0, activation="none", threshold=asked.threshold or 0.0, top_k=asked.top_k or 5)
    return ModelDescription(
        ref=ref,
        manifest=Manifest(
            model=model,
            input=InputSection(color_order="rgb", resize="stretch", filter="linear", range=(0.0, 255.0), layout="nhwc"),
            output=output,
            budget=said.budget,
            golden=said.golden,
        ),
        labels=tuple(f"class {index}" for index in range(len(fake.scores))),
        facts=ModelFileFacts(0, "a fake engine", {}, (), (), (), (), metadata=False, min_runtime=""),
        told_by={},
    )
