"""Watches the figures for what the configuration calls an alert, and tells when one begins and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Collection

from inferd.config import settings
from inferd.control.reporting.metrics import MetricsReporter
from inferd.control.reporting.publisher import Publisher
from inferd.health.alerts import Alerts, Change
from inferd.system.clock import Clock

log = logging.getLogger(__name__)

LOOK_S = 1.0


class Alerting:
    """Owned by control's main thread."""

    def __init__(self, say: Publisher, figures: MetricsReporter, clock: Clock) -> None:
        self._say = say
        self._figures = figures
        self._clock = clock
        self._alerts = Alerts()
        self._looked_ns = 0

    def follow(self, config: settings.Config) -> None:
        """Watch what this configuration says from now on."""
        self._tell(self._alerts.follow(config.alert, self._clock.monotonic_ns() / 1e9))

    def turn(self, degraded: Collection[str]) -> None:
        """Look, once a second; `degraded` names pipelines that run otherwise than they were meant to."""
        now_ns = self._clock.monotonic_ns()
        if not self._alerts or now_ns - self._looked_ns < LOOK_S * 1e9:
            return
        self._looked_ns = now_ns
        self._tell(self._alerts.look(self._figures.sightings(degraded, self._alerts.configured), now_ns / 1e9))

    def active(self) -> list[str]:
        """Return the names of alerts that are not over, with the pipeline where there is one."""
        return [f"{alert.name} ({pipeline})" if pipeline else alert.name for alert, pipeline in self._alerts.active]

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            self._figures.alerts_raised += change.raised
            log.log(
                logging.WARNING if change.raised else logging.INFO,
                "alert %s %s: %s",
                change.alert.name,
                "raised" if change.raised else "cleared",
                change.why,
            )
            self._say.event(
                "alert.raised" if change.raised else "alert.cleared",
                change.alert.severity if change.raised else "info",
                change.why,
                change.pipeline,
                alert=change.alert.name,
                when=change.alert.when,
                value=round(change.value, 3) if change.value is not None else None,
                lasted_s=round(change.lasted_s, 1),
            )
        self._figures.alerts_active = len(self._alerts.active)
