"""`inferd models status | activate | rollback | ...`: what a running agent is asked about its models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from inferd import ipc
from inferd.config.load import load, state_dir
from inferd.control.commands.control_socket import NAME, SYSTEM_FOLDER, ask, folder_of
from inferd.control.commands.model_commands import ListedKey, ListedModel
from inferd.errors import StoreError
from inferd.store.lifecycle.state import LogLine

CONFIG = click.option(
    "--config", "file", type=click.Path(path_type=Path), help="The configuration that the agent runs with."
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
def status(file: Path | None, *, as_json: bool) -> None:
    """List what each pipeline of the running agent follows, which models it has, and what is held against them."""
    told = answer(file, "list")
    click.echo(told if as_json else "\n".join(_table(msgspec.json.decode(told, type=list[ListedKey]))))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
def log(file: Path | None, *, as_json: bool) -> None:
    """Print the last steps of models' lives, oldest first."""
    told = answer(file, "log")
    click.echo(told if as_json else "\n".join(map(_line, msgspec.json.decode(told, type=list[LogLine]))))


@click.command()
@click.argument("pipeline")
@click.argument("model")
@CONFIG
def activate(pipeline: str, model: str, file: Path | None) -> None:
    """Have PIPELINE use MODEL (a name, or the start of a digest), whatever its version."""
    _say(file, "activate", pipeline, model)


@click.command()
@click.argument("pipeline")
@CONFIG
def rollback(pipeline: str, file: Path | None) -> None:
    """Have PIPELINE use the model that it had before."""
    _say(file, "rollback", pipeline)


@click.command()
@click.argument("pipeline")
@click.argument("model", default="")
@CONFIG
def pin(pipeline: str, model: str, file: Path | None) -> None:
    """Have PIPELINE keep to MODEL, or to the one it has, whatever is dropped."""
    _say(file, "pin", pipeline, *([model] if model else []))


@click.command()
@click.argument("pipeline")
@CONFIG
def unpin(pipeline: str, file: Path | None) -> None:
    """Have PIPELINE follow newer models again."""
    _say(file, "unpin", pipeline)


@click.command()
@click.argument("model")
@CONFIG
def forget(model: str, file: Path | None) -> None:
    """Throw MODEL out of the store."""
    _say(file, "forget", model)


@click.command()
@click.argument("model")
@CONFIG
def release(model: str, file: Path | None) -> None:
    """Let MODEL be tried again that was refused or is in quarantine."""
    _say(file, "release", model)


ASKING = (status, log, activate, rollback, pin, unpin, forget, release)


def answer(file: Path | None, verb: str, *arguments: str) -> str:
    """Ask the running agent and return its answer, JSON text.

    Raises:
        InferdError: no agent runs, or it refuses.
    """
    told, _ = ask(_folder(file), ipc.AskModels(verb, arguments))
    if not isinstance(told, ipc.ModelsAnswer) or told.error:
        part, _, why = (told.error if isinstance(told, ipc.ModelsAnswer) else "agent: of another version").partition(
            ": "
        )
        raise StoreError(part, why)
    return told.told


def _say(file: Path | None, verb: str, *arguments: str) -> None:
    click.echo(msgspec.json.decode(answer(file, verb, *arguments)))


def _folder(file: Path | None) -> Path:
    """Return where the agent listens: as its configuration says; without one, the system's service goes first."""
    if file is None and (Path(SYSTEM_FOLDER) / NAME).exists():
        return Path(SYSTEM_FOLDER)
    return folder_of(state_dir(load(file, os.environ).config, os.environ), os.environ.get("RUNTIME_DIRECTORY", ""))


def _table(keys: list[ListedKey]) -> Iterator[str]:
    for key in keys:
        yield f"{', '.join(key.pipelines)}  follows {key.follows}"
        yield from (f"  {_model(model, key.serves)}" for model in key.models)
        if not key.models:
            yield "  no model yet; copy one into the drop folder"


def _model(model: ListedModel, serves: str) -> str:
    marks: tuple[tuple[object, str], ...] = (
        (
            model.role,
            f"{model.role}{'' if model.digest == serves else ' (not loaded)' if model.role in ('active', 'trial') else ''}",
        ),
        (model.pinned, "pinned"),
        (model.quarantined, f"quarantined: {model.code}"),
        (model.accepted is False and not model.quarantined, f"refused: {model.code}"),
        (model.passed_over, "turned away"),
        (model.accepted and not model.verified, "unverified"),
        (not model.items, "file gone"),
        (model.variant, f"variant {model.variant}"),
    )
    told = ", ".join(text for holds, text in marks if holds)
    version = f" v{model.version}" if model.version else ""
    why = f"\n      {model.why}" if model.why else ""
    return f"{model.digest[:12]}  {model.name}{version}  {told}{why}"


def _line(line: LogLine) -> str:
    at = datetime.fromtimestamp(line.at, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    return "  ".join(filter(None, (at, line.kind.removeprefix("model."), line.model, line.key, line.why)))
