"""The table of all checks, and the page of it."""

from __future__ import annotations

from inferd.doctor.check import Check
from inferd.doctor.checks import (
    accelerator,
    accelerator_packages,
    broker,
    broker_files,
    configuration,
    ineffective_settings,
    power,
    runtime,
    sources,
    storage,
    system,
)

ROOMS = ("config", "runtime", "models", "sources", "accelerator", "broker", "disk", "power", "system")
_ALL = (
    *configuration.CHECKS,
    *ineffective_settings.CHECKS,
    *runtime.CHECKS,
    *sources.CHECKS,
    *accelerator.CHECKS,
    *accelerator_packages.CHECKS,
    *broker_files.CHECKS,
    *broker.CHECKS,
    *storage.CHECKS,
    *power.CHECKS,
    *system.CHECKS,
)
CHECKS: tuple[Check, ...] = tuple(sorted(_ALL, key=lambda check: ROOMS.index(check.room)))


def page() -> str:
    """Return the list of checks for docs/troubleshooting.md."""
    rows = [f"| `{check.id}` | {check.looks_at} | {check.why} |" for check in CHECKS]
    return "\n".join(["| check | looks at | because |", "|---|---|---|", *rows]) + "\n"
