"""`inferd infer`: one model over given inputs. The model only ever runs in child processes."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import click
from msgspec.structs import replace

from inferd import ipc
from inferd.accelerators.table import by_operators
from inferd.cli.format_results import Repeats, lines_of
from inferd.cli.models.catalogue import drop_folder
from inferd.cli.quiet_child import quiet_fork_server
from inferd.config import settings
from inferd.control.processes.vet_job import LOAD_S, Accepted, Rejected, examine
from inferd.engine_choice import fitting_engine
from inferd.errors import ModelError, WorkerError
from inferd.records import Tick
from inferd.store.description.cpu_fallback import find_cpu_version
from inferd.system.processes.channel import Channel, ChannelClosed, channel_pair
from inferd.system.processes.fork_server import Child, ForkServer
from inferd.wire.manifest import Activation, Decoder, ModelDescription, Task
from inferd.wire.result import encode_inference, inference

VIDEOS = {".avi", ".mp4", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".h264", ".mjpg", ".mjpeg"}
READINGS: dict[str, Literal["csv", "jsonl"]] = {".csv": "csv", ".jsonl": "jsonl"}


def numbers(_ctx: click.Context, _option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Read "127.5" or "123.7,116.3,103.5"."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number and no list of numbers such as 123.7,116.3,103.5") from None


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1)
@click.option(
    "--input-npz", multiple=True, metavar="FILE", help="Tensors by input name; the first axis counts samples."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per input.")
@click.option("--draw", metavar="DIR", default="", help="Write each picture with its results drawn on it to DIR.")
@click.option("--track", is_flag=True, help="Number the objects of a video, the same in each frame.")
@click.option("--closer", type=click.Path(path_type=Path), metavar="MODEL", help="A second model looks at each object.")
@click.option("--task", type=click.Choice(typing.get_args(Task)), help="What the model does.")
@click.option("--labels", metavar="FILE", help="A file of labels: one a line, or `id label` lines.")
@click.option("--resize", type=click.Choice(["stretch", "letterbox", "crop"]), help="How a picture is made to fit.")
@click.option(
    "--resize-filter",
    type=click.Choice(["fast_area", "area", "linear", "nearest", "cubic"]),
    help="How pixels are mixed.",
)
@click.option("--mean", callback=numbers, help="Pixel mean, one number or one per channel: (pixel - mean) / std.")
@click.option("--std", callback=numbers, help="Pixel deviation, one number or one per channel.")
@click.option("--activation", type=click.Choice(typing.get_args(Activation)), help="What makes scores of the output.")
@click.option("--decoder", type=click.Choice(typing.get_args(Decoder)), help="How outputs become boxes or keypoints.")
@click.option(
    "--average", type=click.IntRange(min=0), help="Scores are the mean of the last so many frames; 0: of all so far."
)
@click.option("--normalize/--no-normalize", default=None, help="Divide an embedding by its length.")
@click.option("--limit", type=float, help="An anomaly score above it is an anomaly.")
@click.option("--threshold", type=float, help="Leave out scores below it.")
@click.option("--top-k", type=click.IntRange(min=1), help="At most so many labels or boxes.")
@click.option(
    "--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="CPU threads of an inference."
)
def infer(
    model: Path,
    inputs: tuple[str, ...],
    input_npz: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - click calls it by name
    draw: str,
    track: bool,  # noqa: FBT001 - as above
    threads: int,
    closer: Path | None,
    **said: object,
) -> None:
    """Run MODEL on pictures, folders of pictures, videos, sounds, readings or tensors, and print what it says.

    MODEL is a .tflite or .onnx file, a folder that holds one, or its name in the drop folder. What its manifest and
    metadata do not say can be said by options. The model is tried in a child process first; one that crashes it is
    refused with a sentence.

    \b
    inferd infer mobilenet.tflite cat.jpg dog.jpg
    inferd infer faces /dev/video0
    inferd infer --json --draw drawn/ ssd.tflite street.mp4
    inferd infer keywords.tflite yes.wav
    inferd infer --task raw --input-npz samples.npz autoencoder.tflite
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    sources = [source_of(text) for text in inputs] + [settings.NpzSource(path=path) for path in input_npz]
    if not sources:
        raise click.UsageError(
            "name at least one input: a picture, a folder, a video, a .wav, a .csv, or --input-npz FILE"
        )
    if draw:
        _make_draw_dir(Path(draw), inputs)
    overrides = settings.Overrides(**said)  # type: ignore[arg-type]  # click has checked each by its option
    engine = settings.EngineConfig(threads=threads)
    with quiet_fork_server() as fork_server:
        accepted = [_accepted(fork_server, model, overrides, engine)]
        request = ipc.Infer(
            accepted[0].description,
            fitting_engine(accepted[0].description, engine),
            tuple(sources),
            draw,
            settings.TrackConfig(enabled=track),
        )
        if closer is not None:
            accepted.append(_accepted(fork_server, closer, settings.Overrides(), engine))
            description = accepted[1].description
            request = replace(request, closer=ipc.SecondModel(description, fitting_engine(description, engine)))
        failed = _show_all(fork_server, accepted, request, as_json=as_json)
    sys.exit(1 if failed else 0)


def _accepted(
    fork_server: ForkServer, model: Path, overrides: settings.Overrides, engine: settings.EngineConfig
) -> Accepted:
    """Return a model that runs on pictures here, examined.

    Raises:
        ModelError: it is refused, or is not for this processor.
    """
    path = model_named(model)
    verdict = examine(fork_server, ipc.Examine(str(path), overrides, engine, ""), LOAD_S)
    if isinstance(verdict, Rejected):
        raise verdict.error
    accelerator = by_operators(verdict.description.facts.custom_ops)
    if accelerator is not None and verdict.fallback is not None:
        why = f"is compiled for the {accelerator.title}, which `inferd infer` does not use; run its CPU version"
        raise ModelError(path.name, f"{why}: inferd infer {find_cpu_version(path)}")
    return verdict


def model_named(model: Path) -> Path:
    """Return the model that is meant: a path, or the name of one in the drop folder."""
    if model.exists() or len(model.parts) != 1:
        return model
    dropped = drop_folder(None) / model
    return dropped if dropped.exists() else model


def _make_draw_dir(folder: Path, inputs: tuple[str, ...]) -> None:
    """Make the folder for drawn pictures.

    Raises:
        click.UsageError: it cannot be made, or holds inputs, which drawn pictures might replace.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise click.UsageError(f"--draw {folder}: no folder can be made there ({exc.strerror})") from exc
    for path in map(Path, inputs):
        if folder.resolve() in (path.resolve(), path.resolve().parent):
            raise click.UsageError(f"--draw {folder}: {path} is in there and might be replaced; name another folder")


def source_of(text: str) -> settings.Source:
    """Return the source that reads an input named on the command line; a camera or a stream goes on until Ctrl-C."""
    if text.startswith("/dev/"):
        return settings.V4l2Source(path=text)
    if text.startswith(("rtsp://", "rtsps://", "http://", "https://")):
        return settings.StreamSource(url=text)
    if Path(text).suffix.lower() in VIDEOS:
        return settings.VideoSource(path=text)
    if Path(text).suffix.lower() == ".wav":
        return settings.WavSource(path=text)
    if (kind := READINGS.get(Path(text).suffix.lower())) is not None:
        return settings.LinesSource(path=text, format=kind)
    return settings.ImagesSource(path=text)


def _show_all(fork_server: ForkServer, models: Sequence[Accepted], request: ipc.Infer, *, as_json: bool) -> int:
    """Print every result; return how many inputs gave none."""
    needs_picture = any(not isinstance(source, settings.NpzSource) for source in request.sources)
    for one in (accepted.description for accepted in models):
        if one.missing and (needs_picture or one.manifest.model.task != "raw"):
            raise ModelError(one.ref.name, "; ".join(one.missing))
    failed, faults = 0, Repeats()
    for message in _answers(fork_server, models, request):
        match message:
            case ipc.Inferred():
                click.echo(_as_json(message.tick, models[0]) if as_json else _as_text(message, models[0]))
            case ipc.InputFailed():
                failed += 1
                _complain(faults.lines(message.why))
    _complain(faults.rest())
    return failed


def _complain(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        click.echo(f"inferd: {sentence}", err=True)


def _answers(fork_server: ForkServer, models: Sequence[Accepted], request: ipc.Infer) -> Iterator[ipc.FromOneshot]:
    """Yield what the one-shot child says until it is done.

    Raises:
        WorkerError: the child died before it was done.
    """
    ours, theirs = channel_pair()
    child = fork_server.fork("inferd.worker.children.oneshot:main", "inferd-infer", [theirs.fileno()])
    theirs.close()
    channel: Channel[ipc.FromOneshot, ipc.Infer] = Channel(ours, ipc.FromOneshot)  # type: ignore[arg-type]  # a union
    channel.send(request, [accepted.blob_fd for accepted in models if accepted.blob_fd is not None])
    while True:
        try:
            received = channel.receive(None)
        except ChannelClosed:
            raise WorkerError(request.description.ref.name, _death(fork_server, child)) from None
        assert received is not None  # noqa: S101 - without a timeout there is a message or an exception
        yield received[0]
        if isinstance(received[0], ipc.InferDone):
            return


def _death(fork_server: ForkServer, child: Child) -> str:
    ended = fork_server.wait_exit(child, 2.0)
    return f"the process that ran it {ended.sentence if ended else 'went silent'}; results after this are missing"


def _as_json(turn: Tick, accepted: Accepted) -> str:
    return encode_inference(inference(turn.origin, *_names(accepted.description), turn.result, turn.times)).decode()


def _names(description: ModelDescription) -> tuple[str, str]:
    return description.ref.name, description.manifest.model.task or "raw"


def _as_text(message: ipc.Inferred, accepted: Accepted) -> str:
    model, task = _names(accepted.description)
    head = f"{message.tick.origin}  {task} by {model}, {message.tick.times.total / 1e6:.1f} ms"
    drawn = [f"  drawn: {message.drawn}"] if message.drawn else []
    return "\n".join([head, *lines_of(message.tick.result), *drawn])
