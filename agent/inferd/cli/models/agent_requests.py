"""`inferd models status | activate | rollback | ...`: commands about the models of a running agent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from inferd.cli.find_agent import agent_folder, config_option
from inferd.control.commands.local_client import ask
from inferd.control.commands.model_commands import ListedKey, ListedModel
from inferd.store.lifecycle.state import LogLine, RefusedItem


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def status(file: Path | None, *, as_json: bool) -> None:
    """List the models of each pipeline of the running agent: what serves, what was refused, and why."""
    answer = ask(agent_folder(file), "models/list")
    click.echo(answer if as_json else "\n".join(_table(msgspec.json.decode(answer, type=list[ListedKey]))))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def log(file: Path | None, *, as_json: bool) -> None:
    """Print the last steps of model lifecycles, oldest first."""
    answer = ask(agent_folder(file), "models/log")
    click.echo(answer if as_json else "\n".join(map(_line, msgspec.json.decode(answer, type=list[LogLine]))))


@click.command()
@click.argument("pipeline")
@click.argument("model")
@config_option
def activate(pipeline: str, model: str, file: Path | None) -> None:
    """Have PIPELINE use MODEL (a name, or the start of a digest), whatever its version."""
    _run(file, "models/activate", pipeline=pipeline, model=model)


@click.command()
@click.argument("pipeline")
@config_option
def rollback(pipeline: str, file: Path | None) -> None:
    """Have PIPELINE use the model that it had before."""
    _run(file, "models/rollback", pipeline=pipeline)


@click.command()
@click.argument("pipeline")
@click.argument("model", default="")
@config_option
def pin(pipeline: str, model: str, file: Path | None) -> None:
    """Have PIPELINE keep to MODEL, or to the one it has, whatever is dropped."""
    _run(file, "models/pin", pipeline=pipeline, model=model)


@click.command()
@click.argument("pipeline")
@config_option
def unpin(pipeline: str, file: Path | None) -> None:
    """Have PIPELINE follow newer models again."""
    _run(file, "models/unpin", pipeline=pipeline)


@click.command()
@click.argument("model")
@config_option
def forget(model: str, file: Path | None) -> None:
    """Remove MODEL from the store."""
    _run(file, "models/forget", model=model)


@click.command()
@click.argument("model")
@config_option
def release(model: str, file: Path | None) -> None:
    """Let MODEL be tried again that was refused or is in quarantine."""
    _run(file, "models/release", model=model)


COMMANDS = (status, log, activate, rollback, pin, unpin, forget, release)


def _run(file: Path | None, verb: str, **arguments: str) -> None:
    click.echo(msgspec.json.decode(ask(agent_folder(file), verb, arguments)))


def _table(keys: list[ListedKey]) -> Iterator[str]:
    for key in keys:
        yield f"{', '.join(key.pipelines)}  follows {key.follows}"
        yield from (f"  {_model(model, key.serves)}" for model in key.models)
        yield from (f"  {_refused(item)}" for item in key.refused)
        if not key.models and not key.refused:
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
        (not model.items and model.accepted is not False, "file gone"),
        (model.variant, f"variant {model.variant}"),
    )
    marks_text = ", ".join(text for holds, text in marks if holds)
    version = f" v{model.version}" if model.version else ""
    why = f"\n      {model.why}" if model.why else ""
    return f"{model.digest[:12]}  {model.name}{version}  {marks_text}{why}"


def _refused(item: RefusedItem) -> str:
    code = f" ({item.code})" if item.code else ""
    return f"{item.item}  refused{code}\n      {item.why}"


def _line(line: LogLine) -> str:
    at = datetime.fromtimestamp(line.at, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    return "  ".join(filter(None, (at, line.kind.removeprefix("model."), line.model, line.key, line.why)))
