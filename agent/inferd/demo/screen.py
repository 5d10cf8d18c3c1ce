"""The demo as a screen: a picture, a verdict, and figures. `draw` is pure; `DemoScreen` shows it in a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from inferd.demo.clip import INK
from inferd.demo.plain_text import UNKNOWN, DemoNotes, clock, drops, number, percentiles, share
from inferd.demo.view import RECENT, SHOWN_STAGES, DemoView, Digit

SMALLEST = (80, 24)  # columns and rows
LARGE = (100, 34)  # from here on the picture is drawn twice as large
GOOD, BAD, QUIET = "bold green", "bold red", "dim"


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters a terminal can show: cells from paper to ink, and marks for right and wrong."""

    shades: str
    right: str
    wrong: str


UNICODE = Glyphs(" ░▒▓█", "✓", "✗")
ASCII = Glyphs(" .:*#", "+", "x")


class DemoScreen:
    """A full-screen terminal; gone without a trace when closed. Owned by the demo's main thread."""

    def __init__(self, console: Console, notes: DemoNotes) -> None:
        """Take over the terminal."""
        self._console = console
        self._notes = notes
        self._glyphs = ASCII if console.options.ascii_only else UNICODE
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._live.start()

    def show(self, view: DemoView, running_s: float) -> None:
        """Draw what there is now."""
        large = self._console.width >= LARGE[0] and self._console.height >= LARGE[1]
        self._live.update(draw(view, self._notes, running_s, self._glyphs, large=large), refresh=True)

    def close(self) -> None:
        """Give the terminal back. Twice is fine."""
        self._live.stop()


def draw(view: DemoView, notes: DemoNotes, running_s: float, glyphs: Glyphs, *, large: bool) -> RenderableType:
    """Return the whole screen; 23 rows of 80 columns, or more where it is large."""
    top = Table.grid(padding=(0, 2))
    top.add_row(_picture(view.digit, glyphs, 2 if large else 1), _verdict(view, glyphs))
    below = Table.grid(padding=(0, 3))
    below.add_row(_latency(view), _resources(view))
    space = [Text()] if large else []
    return Group(_head(running_s), *space, top, Text(), below, Text(), *_next(notes))


def _head(running_s: float) -> RenderableType:
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    title = Text.assemble((" inferd demo ", "bold reverse"), "  handwritten digits, read by the real agent")
    head.add_row(title, Text(f"{clock(running_s)}  Ctrl-C ends it ", QUIET))
    return head


def _picture(digit: Digit | None, glyphs: Glyphs, scale: int) -> RenderableType:
    rows = digit.picture if digit else ((0,) * 8,) * 8
    lines = ["".join(_shade(cell, glyphs) * 2 * scale for cell in row) for row in rows for _ in range(scale)]
    title = f"frame {digit.frame}" if digit else "no frame yet"
    return Panel(Text("\n".join(lines), no_wrap=True), title=title, box=box.SQUARE, width=16 * scale + 4)


def _shade(cell: int, glyphs: Glyphs) -> str:
    return glyphs.shades[round(cell / INK * (len(glyphs.shades) - 1))]


def _verdict(view: DemoView, glyphs: Glyphs) -> RenderableType:
    if view.digit is None:
        return Text(f"\nno result yet\n{view.news}")
    facts = Table.grid(padding=(0, 2))
    right = view.digit.right
    mark = Text(f"{glyphs.right} right" if right else f"{glyphs.wrong} WRONG", GOOD if right else BAD)
    facts.add_row()
    facts.add_row(
        "read",
        Text.assemble((view.digit.guess or "nothing", GOOD if right else BAD), f"   score {view.digit.score:.3f}"),
    )
    facts.add_row("written", Text.assemble((view.digit.truth, "bold"), "   ", mark))
    facts.add_row()
    facts.add_row("accuracy", Text.assemble((share(view), "bold"), f"   {view.right} of {view.seen} right"))
    facts.add_row(f"last {RECENT}", _marks(view.recent, glyphs))
    facts.add_row("speed", f"{number(view.fps, 1)} frames a second")
    facts.add_row("dropped", drops(view.dropped))
    facts.add_row("now" if view.news else "model", Text(view.news, BAD) if view.news else view.model)
    return facts


def _marks(recent: tuple[bool, ...], glyphs: Glyphs) -> Text:
    return Text.assemble(*((glyphs.right, "green") if right else (glyphs.wrong, BAD) for right in recent))


def _latency(view: DemoView) -> RenderableType:
    table = _table("latency, ms", "p50", "p95", "p99")
    for stage in SHOWN_STAGES:
        style = "bold" if stage == "total" else ""
        table.add_row(stage.replace("_", " "), *percentiles(view.latency.get(stage)), style=style)
    return table


def _resources(view: DemoView) -> RenderableType:
    table = _table("process", "CPU %", "memory, MB")
    for name, figures in view.processes.items():
        pid = f" (pid {view.worker_pid})" if name == "worker" and view.worker_pid else ""
        table.add_row(f"{name}{pid}", number(figures.get("cpu_pct"), 1), number(figures.get("rss_mb"), 0))
    table.add_row("whole device", number(view.system.get("cpu_pct"), 1), _memory(view))
    if (temperature_c := view.system.get("temperature_c")) is not None:
        table.add_row("temperature, C", "", f"{temperature_c:.0f}")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", min_width=5, no_wrap=True)
    return table


def _memory(view: DemoView) -> str:
    total_mb, available_mb = view.system.get("memory_total_mb"), view.system.get("memory_available_mb")
    if total_mb is None or available_mb is None:
        return UNKNOWN
    return f"{total_mb - available_mb:.0f} of {total_mb:.0f}"


def _next(notes: DemoNotes) -> list[RenderableType]:
    lines: list[RenderableType] = []
    if notes.watch:
        lines.append(Text("Its telemetry, in another terminal:"))
        lines.append(Text(f"  {notes.watch}", "bold cyan", no_wrap=True))
    else:
        lines.append(Text(f"Telemetry: {notes.broker}"))
    lines.append(Text.assemble("A model on your own picture: ", (f"{notes.program} infer MODEL PICTURE", "bold cyan")))
    return lines
