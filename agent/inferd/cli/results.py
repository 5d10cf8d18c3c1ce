"""`inferd results`: the results of a running agent, as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from inferd.cli.find_agent import agent_folder, config_option
from inferd.control.commands.local_client import subscribe


@click.command()
@click.argument("pipeline", default="")
@click.option("--json", "as_json", is_flag=True, help="Print each result as a JSON line, as it goes to the broker.")
@config_option
def results(pipeline: str, file: Path | None, *, as_json: bool) -> None:
    """Print the results of the agent that runs on this device, as they are published; it needs no broker.

    PIPELINE may be left out; then the results of all pipelines are printed.
    """
    for packet in subscribe(agent_folder(file), "results", {"pipeline": pipeline}):
        click.echo(packet if as_json else line(msgspec.json.decode(packet)))


def line(result: dict[str, Any]) -> str:  # Any: JSON
    """Return a result as a line for a person."""
    if "dropped" in result:
        return f"... {result['dropped']} results were missed: they came faster than they were read"
    found = [
        f"{one['label'] or one['id']} {one['score']:.2f}" for key in ("labels", "boxes") for one in result.get(key, ())
    ]
    found += [f"{one['name']} {one['value']:.6g} {one['unit']}".rstrip() for one in result.get("values", ())]
    if "score" in result:
        found.append(f"score {result['score']:.3f}")
    milliseconds = result["timing_ms"]["total"]
    return f"{result['time']}  {result['pipeline']}  {', '.join(found) or 'nothing'}  {milliseconds:.1f} ms"
