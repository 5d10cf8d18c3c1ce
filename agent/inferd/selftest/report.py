"""The report of a self-test: what it found, for programs and for people. It holds no names, addresses or configuration."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

SCHEMA_VERSION = 1


class Board(msgspec.Struct, frozen=True):
    """What was tested.

    Attributes:
        name: as the firmware calls it; None where it says nothing.
        processor: as the kernel calls it; "" where it does not.
        architecture: such as "aarch64".
        cores: that we may use.
        memory_mb: in all, 10^6 bytes; None where the kernel does not tell.
        os, kernel, python: their names and versions.
        inferd: our version.
    """

    name: str | None
    processor: str
    architecture: str
    cores: int
    memory_mb: float | None
    os: str
    kernel: str
    python: str
    inferd: str


class EngineTiming(msgspec.Struct, frozen=True):
    """How a model ran on an engine, in milliseconds; `why` is set, and the rest 0, where it did not.

    Attributes:
        what: engine or delegate, and how: "cpu, 1 thread".
        runtime: and its version.
        load_ms: from file to ready tensors.
        warmup_ms: the first inference, which is in none of the other figures.
        p50_ms, p95_ms: of an inference.
        inferences: how many were measured.
        nodes, nodes_delegated: operators; how many of them a delegate ran, XNNPACK included; None where nobody knows.
        why: the sentence that says why it did not run.
    """

    what: str
    runtime: str = ""
    load_ms: float = 0.0
    warmup_ms: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    inferences: int = 0
    nodes: int = 0
    nodes_delegated: int | None = None
    why: str = ""


class SustainedLoad(msgspec.Struct, frozen=True):
    """What sustained load on all cores did. None where this board cannot tell; `SelftestReport.meters` says why.

    Attributes:
        seconds: of load.
        before_c, hottest_c: temperature of the processor.
        before_mhz, after_mhz: its clock.
        throttled_s: how long something slowed it down.
        first_ms, last_ms: p50 of an inference in the first and the last fifth of the load.
    """

    seconds: float
    before_c: float | None = None
    hottest_c: float | None = None
    before_mhz: float | None = None
    after_mhz: float | None = None
    throttled_s: float | None = None
    first_ms: float | None = None
    last_ms: float | None = None


class AgentMeasurement(msgspec.Struct, frozen=True):
    """How the real agent fared; None for what did not come about, and `why` says why.

    Attributes:
        first_result_s: from its start to its first result.
        frames_per_s: of the clip, as fast as it could.
        swaps: models exchanged while it ran.
        swap_pause_ms: the longest that the loop stood still for one.
        recovery_s: from the worker's sudden death to the next result; the median where it died more than once.
        worker_deaths: how often it was killed.
        why: what went wrong; "" where nothing did.
    """

    first_result_s: float | None = None
    frames_per_s: float | None = None
    swaps: int = 0
    swap_pause_ms: float | None = None
    recovery_s: float | None = None
    worker_deaths: int = 0
    why: str = ""


class SelftestReport(msgspec.Struct, frozen=True):
    """All of a self-test.

    Attributes:
        schema_version: of this record.
        time: UTC, ISO 8601; wrong where the clock is.
        board: what was tested.
        runtimes: installed distribution → version, None where it is not installed.
        timed: the digits model on each engine and delegate.
        meters: reading → value, or the sentence why there is none.
        heat: what load did.
        agent: what the agent did.
    """

    schema_version: int
    time: str
    board: Board
    runtimes: dict[str, str | None]
    timed: list[EngineTiming]
    meters: dict[str, float | str]
    heat: SustainedLoad
    agent: AgentMeasurement

    @property
    def passed(self) -> bool:
        """Whether a model runs on the CPU, and the agent swapped and came back."""
        return any(not one.why for one in self.timed) and not self.agent.why


def lines(report: SelftestReport) -> Iterator[str]:
    """Yield the report for a person, line by line."""
    board = report.board
    yield f"inferd {board.inferd} on {board.name or 'a machine without a board name'}, {report.time}"
    memory = "" if board.memory_mb is None else f", {board.memory_mb:.0f} MB"
    yield f"  {board.processor or board.architecture}, {board.cores} cores{memory}, {board.architecture}"
    yield f"  {board.os}, Linux {board.kernel}, Python {board.python}"
    yield "Runtimes"
    yield from (f"  {name:<24}{version or 'not installed'}" for name, version in report.runtimes.items())
    yield "Digits model, milliseconds"
    yield from (f"  {one.what:<18}{_timed(one)}" for one in report.timed)
    yield f"Load on all cores for {report.heat.seconds:.0f} s"
    yield f"  {_heat(report.heat)}"
    yield "Agent"
    yield f"  {_agent(report.agent)}"
    yield "Meters"
    for name, told in report.meters.items():
        yield f"  {name:<22}{told if isinstance(told, str) else f'{told:g}'}"
    yield "Row for docs/boards.md"
    yield row(report)
    yield (
        "Passed: a model runs, and the agent swapped it and came back"
        if report.passed
        else f"FAILED: {_failure(report)}"
    )


def row(report: SelftestReport) -> str:
    """Return the report as a row of the table of boards."""
    board, agent = report.board, report.agent
    best = min((one for one in report.timed if not one.why), key=lambda one: one.p50_ms, default=None)
    watts = next((told for name, told in report.meters.items() if name.startswith("power_w.")), None)
    cells = (
        board.name or f"{board.processor or board.architecture}, {board.cores} cores",
        f"{board.architecture}, {board.os}, Python {board.python}",
        best.runtime if best else "none runs",
        f"{best.p50_ms:.3f} / {best.p95_ms:.3f}" if best else "-",
        _or_dash(agent.frames_per_s, "{:.0f}"),
        _or_dash(agent.swap_pause_ms, "{:.2f}"),
        _or_dash(agent.recovery_s, "{:.2f}"),
        _or_dash(report.heat.hottest_c, "{:.0f}"),
        f"{watts:.1f}" if isinstance(watts, float) else "-",
        f"`inferd selftest` {board.inferd}",
    )
    return f"| {' | '.join(cells)} |"


def _failure(report: SelftestReport) -> str:
    return report.agent.why or "no model runs: " + "; ".join(one.why for one in report.timed if one.why)


def _timed(one: EngineTiming) -> str:
    if one.why:
        return one.why
    nodes = "" if one.nodes_delegated is None else f", {one.nodes_delegated} of {one.nodes} operators delegated"
    figures = f"p50 {one.p50_ms:.3f}, p95 {one.p95_ms:.3f} of {one.inferences:,}"
    return f"{figures}; load {one.load_ms:.1f}, first {one.warmup_ms:.2f}; {one.runtime}{nodes}"


def _heat(heat: SustainedLoad) -> str:
    """Return what load did; what this board cannot tell is left out, for the meters say why."""
    said = [
        _if_known("inference {:.3f} ms at first, {:.3f} ms at last", heat.first_ms, heat.last_ms),
        _if_known("{:.0f} °C before, {:.0f} °C at most", heat.before_c, heat.hottest_c),
        _if_known("{:.0f} MHz before, {:.0f} MHz after", heat.before_mhz, heat.after_mhz),
        _if_known("throttled for {:.0f} s", heat.throttled_s),
    ]
    unknown = ("inference", "temperature", "clock", "throttling")
    lacking = [name for name, text in zip(unknown, said, strict=True) if not text]
    return "; ".join([*filter(None, said), *([f"not known here: {', '.join(lacking)}"] if lacking else [])])


def _agent(agent: AgentMeasurement) -> str:
    said = [
        f"first result after {_or_dash(agent.first_result_s, '{:.2f}')} s",
        f"{_or_dash(agent.frames_per_s, '{:.0f}')} frames a second",
        f"{agent.swaps} swaps, longest pause {_or_dash(agent.swap_pause_ms, '{:.2f}')} ms",
        f"worker killed {agent.worker_deaths} times, next result {_or_dash(agent.recovery_s, '{:.2f}')} s after",
        agent.why,
    ]
    return "; ".join(filter(None, said))


def _if_known(form: str, *values: float | None) -> str:
    return "" if None in values else form.format(*values)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
