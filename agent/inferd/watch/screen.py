"""Devices as a screen: a list of all, or one of them whole. `draw` is pure; `FleetScreen` shows it in a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from inferd.histogram import quantile
from inferd.telemetry.device_state import DeviceState, PipelineView
from inferd.telemetry.metrics import histogram
from inferd.watch.fleet import FleetView, Row
from inferd.watch.plain_text import UNKNOWN, milliseconds, number, summary, watts
from inferd.wire.telemetry import Latency, Number

SMALLEST = (70, 12)  # columns and rows
WIDE = 110  # from here on there is room for what is nice to know
STYLES = {"failed": "bold red", "offline": "red", "degraded": "yellow", "waiting": "yellow", "running": "green"}
SEVERITIES = {"error": "bold red", "warning": "yellow", "info": ""}
QUIET = "dim"
HOT_C = 80.0  # a Raspberry Pi begins to slow down there
KEYS = "/ filter  s sort  arrows move  enter open  q quit"
KEYS_INSIDE = "esc back  up/down other device  q quit"
STAGES = ("capture", "preprocess", "invoke", "decode", "total", "frame_age")
FRAME_LINES = 6  # head, summary, table's head and rule, foot


class FleetScreen:
    """A full-screen terminal; gone without a trace when closed. Owned by the main thread."""

    def __init__(self, console: Console) -> None:
        """Take over the terminal."""
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._live.start()

    def show(self, view: FleetView, where: str) -> None:
        """Draw what there is now; `where` names the broker."""
        size = self._console.size
        self._live.update(draw(view, where, size.width, size.height), refresh=True)

    def close(self) -> None:
        """Give the terminal back. Idempotent."""
        self._live.stop()


def draw(view: FleetView, where: str, width: int, height: int) -> RenderableType:
    """Return the whole screen, no higher than `height`."""
    if view.chosen is not None:
        row = view.rows[view.wish.at]
        body: list[RenderableType] = [_one(row, view.chosen, width, height - 4)]
    else:
        body = [Text(summary(view), no_wrap=True, overflow="ellipsis"), _list(view, width, height - FRAME_LINES)]
    return Group(_head(view, where), *body, _foot(view))


def _head(view: FleetView, where: str) -> RenderableType:
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True)
    head.add_column(justify="right", no_wrap=True, overflow="ellipsis")
    said = Text(view.deaf, "bold red") if view.deaf else Text(where, QUIET)
    head.add_row(Text.assemble((" inferd watch ", "bold reverse")), said)
    return head


def _foot(view: FleetView) -> RenderableType:
    if view.wish.typing:
        return Text.assemble(("/", "bold"), view.wish.filter, ("_", "blink"), no_wrap=True)
    filtered = f"filter: {view.wish.filter}  (esc clears)  " if view.wish.filter else ""
    keys = KEYS_INSIDE if view.chosen is not None else f"{KEYS}   by {view.wish.sort}"
    return Text.assemble((filtered, "bold"), (keys, QUIET), no_wrap=True, overflow="ellipsis")


def _list(view: FleetView, width: int, lines: int) -> RenderableType:
    """Return as many rows as there is room for, the chosen one among them."""
    if not view.rows:
        return Text("\nno device matches the filter" if view.devices else "\nnothing has been heard yet", QUIET)
    first = max(0, min(view.wish.at - lines // 2, len(view.rows) - lines))
    shown = view.rows[first : first + max(1, lines)]
    table = _table("device", "state")
    for name in ("fps", "p95 ms", "°C", *(("W", "CPU %") if width >= WIDE else ())):
        table.add_column(name, justify="right", no_wrap=True, min_width=5)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=30 if width >= WIDE else 14)
    table.add_column("alerts, reasons", no_wrap=True, overflow="ellipsis", ratio=1, min_width=22)
    for n, row in enumerate(shown, first):
        table.add_row(*_cells(row, wide=width >= WIDE), style="reverse" if n == view.wish.at else "")
    return table


def _cells(row: Row, *, wide: bool) -> list[RenderableType]:
    temperature = number(row.temperature_c, 0) + ("!" if row.throttled else "")
    hot = row.throttled or (row.temperature_c or 0.0) >= HOT_C
    told = Text(", ".join(row.alerts), "bold red" if row.alerts else "")
    if row.why:
        told = Text.assemble(told, ("; " if row.alerts else "") + row.why)
    return [
        row.device,
        Text(row.state, STYLES.get(row.state, "")),
        number(row.fps),
        milliseconds(row.p95_ms),
        Text(temperature, "bold red" if hot else ""),
        *([watts(row), number(row.cpu_pct, 0)] if wide else []),
        row.model or UNKNOWN,
        told,
    ]


def _one(row: Row, seen: DeviceState, width: int, lines: int) -> RenderableType:
    """Return one device: what it is, its pipelines, its stages, its alerts and what happened, newest first."""
    parts: list[RenderableType] = [_about(row, seen), Text(), _pipelines(seen, width)]
    used = 5 + len(seen.pipelines) + 2
    if width >= WIDE or lines >= used + len(STAGES) + 5:
        parts += [Text(), _stages(seen)]
        used += len(STAGES) + 3
    news = [_news(event.severity, f"{time[11:19]} {event.message}") for time, event in reversed(seen.events)]
    alerts = [_news(event.severity, f"alert {name}: {event.message}") for (name, _), event in seen.alerts.items()]
    told = [*alerts, *news][: max(1, lines - used - 2)]
    return Group(*parts, Text(), Text("what happened, newest first", QUIET), *told)


def _about(row: Row, seen: DeviceState) -> RenderableType:
    info, metrics = seen.info, seen.metrics
    free, total = seen.system("memory_available_mb"), seen.system("memory_total_mb")
    throttled_s, interval_s = seen.system("throttled_s"), metrics.interval_s if metrics else None
    board = (
        f"{info.board or info.machine}   {info.os}   inferd {info.version}" if info else "nothing is known of it yet"
    )
    use = (
        f"CPU {number(row.cpu_pct, 0)} %   memory free {number(free, 0)} of {number(total, 0)} MB"
        f"   disk free {number(seen.system('disk_free_mb'), 0)} MB"
    )
    heat = (
        f"{number(row.temperature_c, 0)} °C   {number(seen.system('clock_mhz'), 0)} MHz"
        f"   throttled {number(throttled_s, 0)} of {number(interval_s, 0)} s   {watts(row)} W {row.basis}"
    )
    name = Text.assemble((row.device, "bold"), "   ", (row.state, STYLES.get(row.state, "")), f"   {board}")
    texts = [name, Text(use), Text(heat, "bold red" if row.throttled else "")]
    for text in texts:
        text.no_wrap, text.overflow = True, "ellipsis"
    return Group(*texts)


def _pipelines(seen: DeviceState, width: int) -> RenderableType:
    table = _table("pipeline", "state")
    for name in ("fps", "p50", "p95", "p99 ms", "dropped"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("sees", no_wrap=True, overflow="ellipsis", max_width=40 if width >= WIDE else 14)
    table.add_column("model", no_wrap=True, overflow="ellipsis", ratio=1)
    for name, one in seen.pipelines.items():
        state = one.status.status if one.status else "unknown"
        percentiles = [milliseconds(_at(one.latency(), q)) for q in (0.50, 0.95, 0.99)]
        cells = (number(one.fps), *percentiles, _dropped(one), _sees(one), _model(one))
        table.add_row(name, Text(state, STYLES.get(state, "")), *cells)
    return table


def _stages(seen: DeviceState) -> RenderableType:
    table = _table("latency, ms")
    for name in seen.pipelines:
        table.add_column(f"{name} p50", justify="right", no_wrap=True)
        table.add_column("p95", justify="right", no_wrap=True)
    for stage in STAGES:
        told = [one.latency(stage) for one in seen.pipelines.values()]
        cells = [milliseconds(_at(latency, q)) for latency in told for q in (0.50, 0.95)]
        table.add_row(stage.replace("_", " "), *cells)
    return table


def _at(told: Latency | None, q: float) -> float | None:
    return quantile(histogram(told), q) if told is not None and told.counts else None


def _dropped(one: PipelineView) -> str:
    causes = one.figures.get("frames_dropped")
    if not isinstance(causes, Mapping):
        return UNKNOWN
    counts: list[Number] = [count for count in causes.values() if isinstance(count, int)]
    return str(sum(count or 0 for count in counts))


def _sees(one: PipelineView) -> str:
    if one.state is None:
        return UNKNOWN
    return (
        ", ".join(f"{label} {count}" if count > 1 else label for label, count in one.state.counts.items()) or "nothing"
    )


def _model(one: PipelineView) -> str:
    if one.model is None:
        return UNKNOWN
    told = f"{one.model.name} {one.model.version} {one.model.accelerator or one.model.state}".strip()
    return f"{told}: {one.model.reason}" if one.model.reason else told


def _news(severity: str, text: str) -> Text:
    return Text(text, SEVERITIES.get(severity, ""), no_wrap=True, overflow="ellipsis")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), expand=True)
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=24)
    return table
