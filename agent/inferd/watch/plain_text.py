"""Devices in plain words: for where there is no terminal, and for logs. Pure."""

from __future__ import annotations

from inferd.watch.fleet import FleetView, Row

UNKNOWN = "-"
LONGEST_LINE = 1_000


def number(value: float | None, digits: int = 1) -> str:
    """Return a figure; a dash where there is none."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """Return a time with three significant digits."""
    if value is None:
        return UNKNOWN
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"  # noqa: PLR2004 - digits


def watts(row: Row) -> str:
    """Return what a device draws; "~" before what is estimated."""
    return UNKNOWN if row.power_w is None else f"{'~' if row.basis == 'estimated' else ''}{row.power_w:.1f}"


def line(row: Row) -> str:
    """Return a device in one line."""
    parts = [
        f"{row.device}: {row.state}",
        f"{number(row.fps)} fps",
        f"p95 {milliseconds(row.p95_ms)} ms",
        f"{number(row.temperature_c, 0)} C{' throttled' if row.throttled else ''}",
        f"{watts(row)} W",
        row.model or "no model",
    ]
    parts += [f"alert {alert}" for alert in row.alerts]
    return " | ".join([*parts, row.why] if row.why else parts)[:LONGEST_LINE]


def summary(view: FleetView) -> str:
    """Return all devices in one line."""
    states = ", ".join(f"{count} {state}" for state, count in view.states.items())
    alerts = f", {view.alerts} alerts" if view.alerts else ""
    shown = f"{len(view.rows)} of {view.devices}" if len(view.rows) != view.devices else f"{view.devices}"
    one = "device" if view.devices == 1 else "devices"
    return f"{shown} {one}: {states or 'none heard yet'}{alerts}, {view.fps:.1f} fps in all"
