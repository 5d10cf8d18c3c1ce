"""`inferd models`: what is known of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from inferd import ipc
from inferd.cli import SuggestingGroup
from inferd.cli.models.agent_requests import COMMANDS
from inferd.cli.models.catalogue import get, list_models
from inferd.cli.quiet_child import quiet_fork_server
from inferd.config import settings
from inferd.control.processes.vet_job import LOAD_S, Accepted, Rejected, examine
from inferd.records import EngineInfo, TensorSpec
from inferd.wire.manifest import ModelDescription

LABELS_SHOWN = 8
OPS_A_LINE = 5


@click.group(cls=SuggestingGroup)
def models() -> None:
    """Inspect models, fetch them, and manage those of the running agent."""


for command in COMMANDS:
    models.add_command(command)
models.add_command(get)
models.add_command(list_models)


@models.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(model: Path, *, as_json: bool) -> None:
    """Show MODEL: tensors, metadata, operators, and what is missing to run it.

    MODEL is a .tflite file, or a folder that holds model.tflite. It is loaded and run once in a child process.
    """
    with quiet_fork_server() as fork_server:
        verdict = examine(
            fork_server, ipc.Examine(str(model), settings.Overrides(), settings.EngineConfig(), ""), LOAD_S
        )
    if verdict.description is None:
        assert isinstance(verdict, Rejected)  # noqa: S101 - what is accepted is described
        raise verdict.error
    click.echo(_json(verdict) if as_json else "\n".join(_text(verdict.description, verdict)))


def _json(verdict: Accepted | Rejected) -> str:
    told = {
        "description": verdict.description,
        "engine": verdict.info if isinstance(verdict, Accepted) else None,
        "refused": verdict.error.message if isinstance(verdict, Rejected) else None,
    }
    return msgspec.json.encode(told).decode()


def _text(description: ModelDescription, verdict: Accepted | Rejected) -> Iterator[str]:
    ref, facts = description.ref, description.facts
    yield f"{ref.title}: {description.manifest.model.task or 'raw'}, {facts.size_bytes / 1e6:.2f} MB"
    if facts.description:
        yield f"  {facts.description}"
    yield from _tensors("input", tuple(tensor.spec for tensor in facts.inputs))
    yield from _tensors("output", tuple(tensor.spec for tensor in facts.outputs))
    yield from _operators(facts.ops)
    yield from _labels(description.labels)
    yield from _told(description)
    yield from (f"  note       {note}" for note in description.notes)
    yield from (f"  missing    {sentence}" for sentence in description.missing)
    if isinstance(verdict, Rejected):
        yield f"  runs here  no: {verdict.error.message}"
    else:
        yield f"  runs here  {_engine(verdict.info)}"


def _tensors(kind: str, specs: tuple[TensorSpec, ...]) -> Iterator[str]:
    for spec in specs:
        shape = " x ".join(str(size) if size >= 0 else "any" for size in spec.shape_signature or spec.shape) or "scalar"
        scale = f", scale {spec.scale:.6g}, zero point {spec.zero_point}" if spec.quantized else ""
        yield f"  {kind:<10} {spec.name}: {spec.dtype} {shape}{scale}"


def _operators(ops: dict[str, int]) -> Iterator[str]:
    shown = [f"{count} {name}" for name, count in sorted(ops.items(), key=lambda item: -item[1])]
    for start in range(0, len(shown), OPS_A_LINE):
        yield f"  {'operators' if start == 0 else '':<10} {', '.join(shown[start : start + OPS_A_LINE])}"


def _labels(labels: tuple[str, ...]) -> Iterator[str]:
    if labels:
        more = ", ..." if len(labels) > LABELS_SHOWN else ""
        yield f"  labels     {len(labels)}: {', '.join(labels[:LABELS_SHOWN])}{more}"


def _told(description: ModelDescription) -> Iterator[str]:
    """Yield what is known of input and output, and who told it."""
    for section in ("input", "signal", "output"):
        values = msgspec.structs.asdict(getattr(description.manifest, section))
        for key, value in values.items():
            if value is not None and key != "labels":
                who = description.told_by.get(f"{section}.{key}", "")
                yield f"  {section}.{key} = {_plain(value)}" + (f"  ({who})" if who else "")


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _engine(info: EngineInfo) -> str:
    delegated = "" if info.nodes_delegated is None else f", {info.nodes_delegated} of {info.nodes} operators delegated"
    warning = f"; {info.warning}" if info.warning else ""
    return f"yes, by {info.runtime} {info.runtime_version}{delegated}, loaded in {info.load_ms:.0f} ms{warning}"
