"""`inferd vet`: the gates that a dropped model passes, by hand."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from inferd import ipc
from inferd.cli.quiet_child import quiet_fork_server
from inferd.config import settings
from inferd.config.telemetry import MetricsConfig
from inferd.control.processes.vet_job import LOAD_S, Rejected, core_w, examine
from inferd.wire.manifest import BudgetSection
from inferd.wire.vetting import VetReport

BUDGETS = tuple(BudgetSection.__struct_fields__)


def budget(_ctx: click.Context, _option: click.Parameter, said: tuple[str, ...]) -> BudgetSection | None:
    """Read "latency_p95_ms=20"."""
    values = {}
    for text in said:
        key, _, number = text.partition("=")
        if key not in BUDGETS:
            raise click.BadParameter(f"{key!r} is no budget; there are {', '.join(BUDGETS)}")
        try:
            values[key] = float(number)
        except ValueError:
            raise click.BadParameter(f"{text!r}: write {key}=NUMBER") from None
    return BudgetSection(**values) if values else None


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="The model that it would replace.")
@click.option(
    "--budget", "limits", multiple=True, callback=budget, metavar="KEY=NUMBER", help="Instead of its manifest's."
)
@click.option(
    "--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="CPU threads of an inference."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def vet(model: Path, against: Path | None, limits: BudgetSection | None, threads: int, *, as_json: bool) -> None:
    """Vet MODEL as the agent does before it serves: integrity, loading, contract, behaviour, cost.

    Exit code 0 if it is accepted, 1 if it is refused.

    \b
    inferd vet new.tflite --against old.tflite
    inferd vet new/ --budget latency_p95_ms=20 --budget accuracy=0.95 --json
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    request = ipc.Examine(
        str(model),
        settings.Overrides(),
        settings.EngineConfig(threads=threads),
        "",
        gates=True,
        against=str(against or ""),
        budget=limits,
        core_w=core_w(MetricsConfig()),
    )
    with quiet_fork_server() as fork_server, tempfile.TemporaryDirectory() as store:
        verdict = examine(fork_server, msgspec.structs.replace(request, store_dir=store), LOAD_S)
    assert verdict.report is not None  # noqa: S101 - every verdict carries one
    click.echo(msgspec.json.encode(verdict.report).decode() if as_json else "\n".join(_text(verdict.report)))
    sys.exit(1 if isinstance(verdict, Rejected) else 0)


def _text(report: VetReport) -> Iterator[str]:
    refused = report.failed
    unverified = "" if report.verified or refused else ", unverified"
    yield f"{report.model}: {f'refused ({refused.code})' if refused else f'accepted{unverified}'}"
    for gate in report.gates:
        figures = ", ".join(f"{name} {value:g}" for name, value in gate.figures.items())
        yield "  ".join(filter(None, (f"  {gate.gate:<10}{gate.finding:<11}", gate.why, figures)))
