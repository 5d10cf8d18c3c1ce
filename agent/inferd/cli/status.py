"""`inferd status`: how the agent on this device is doing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from inferd.cli.find_agent import agent_folder, config_option
from inferd.control.commands.local_client import ask
from inferd.telemetry.device_state import DeviceState

FAILED = 1  # exit code where a pipeline has failed, for scripts


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print the whole state as JSON.")
@config_option
@click.pass_context
def status_command(ctx: click.Context, file: Path | None, *, as_json: bool) -> None:
    """Show the status of the agent that runs on this device. Exit code 1 if it does not run or a pipeline has failed."""
    answer = ask(agent_folder(file), "status")
    status: dict[str, Any] = msgspec.json.decode(answer)
    click.echo(answer if as_json else "\n".join(lines(status)))
    if status["state"] == "failed":
        ctx.exit(FAILED)


def lines(told: dict[str, Any]) -> list[str]:
    """Return the answer for a person."""
    seen = DeviceState(online=True)
    for topic in ("info", "metrics"):
        if told[topic] is not None:
            seen.update(topic, msgspec.json.encode(told[topic]))
    info = seen.info
    head = f"{told['state']}: inferd {info.version}, {info.board or info.machine}, {info.os}" if info else told["state"]
    return [
        head,
        *(_pipeline(name, one, seen) for name, one in told["pipelines"].items()),
        *_alerts(told),
        _device(seen),
    ]


def _pipeline(name: str, one: dict[str, Any], seen: DeviceState) -> str:
    state, model, sees = (one[key] or {} for key in ("status", "model", "state"))
    figures = seen.pipelines.get(name)
    latency = figures.latency() if figures else None
    parts = [
        f"  {name}: {state.get('status', 'unknown')}",
        f"{model['name']} {model['version']} on {model['accelerator'] or 'nothing yet'}" if model.get("name") else "",
        f"{figures.fps:.1f} fps" if figures and figures.fps is not None else "",
        f"p95 {latency.p95:.2f} ms" if latency and latency.p95 is not None else "",
        f"sees {_sees(sees)}" if sees else "",
        state.get("why", ""),
    ]
    return ", ".join(part for part in parts if part)


def _sees(state: dict[str, Any]) -> str:
    """Return the settled answer: labels, then zones, then lines, as in "person 7, car 1 | door 2 | street in 3 out 1"."""
    counts = ", ".join(f"{label} {count}" if count > 1 else label for label, count in state["counts"].items())
    zones = (f"{zone} {count}" for zone, count in state.get("zones", {}).items())
    lines = (f"{line} in {ways['in']} out {ways['out']}" for line, ways in state.get("lines", {}).items())
    return " | ".join([counts or "nothing", *zones, *lines])


def _alerts(told: dict[str, Any]) -> list[str]:
    return [f"  alert {alert['data'].get('alert')}: {alert['message']}" for alert in told["alerts"]]


def _device(seen: DeviceState) -> str:
    if seen.metrics is None:
        return "  no figures yet; they come every metrics.interval_s seconds"
    watts, basis = seen.power
    parts = [
        (seen.system("cpu_pct"), "CPU {:.0f} %"),
        (seen.system("temperature_c"), "{:.0f} °C"),
        (seen.system("throttled_s"), f"throttled {{:.0f}} of {seen.metrics.interval_s:.0f} s"),
        (seen.system("memory_available_mb"), "{:.0f} MB of memory free"),
        (seen.system("disk_free_mb"), "{:.0f} MB of disk free"),
        (watts, f"{{:.1f}} W {basis}"),
    ]
    return "  " + ", ".join(form.format(value) for value, form in parts if value is not None)
