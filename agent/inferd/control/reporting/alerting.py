"""Checks metrics against the configured alerts, and reports when one is raised and when it is cleared."""

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

    def __init__(self, publisher: Publisher, metrics: MetricsReporter, clock: Clock) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._alerts = Alerts()
        self._looked_ns = 0

    def follow(self, config: settings.Config) -> None:
        """Watch what this configuration says from now on."""
        self._report(self._alerts.follow(config.alert, self._clock.monotonic_ns() / 1e9))

    def turn(self, degraded: Collection[str], sleeping: Collection[str] = ()) -> None:
        """Check, once a second; `degraded` pipelines run otherwise than they were meant to, `sleeping` ones do not run."""
        now_ns = self._clock.monotonic_ns()
        if not self._alerts or now_ns - self._looked_ns < LOOK_S * 1e9:
            return
        self._looked_ns = now_ns
        values = self._metrics.sightings(degraded, self._alerts.configured, sleeping)
        self._report(self._alerts.look(values, now_ns / 1e9))

    def active(self) -> list[str]:
        """Return the names of alerts that are not over, with the pipeline where there is one."""
        return [f"{alert.name} ({pipeline})" if pipeline else alert.name for alert, pipeline in self._alerts.active]

    def _report(self, changes: list[Change]) -> None:
        for change in changes:
            self._metrics.alerts_raised += change.raised
            log.log(
                logging.WARNING if change.raised else logging.INFO,
                "alert %s %s: %s",
                change.alert.name,
                "raised" if change.raised else "cleared",
                change.why,
            )
            self._publisher.event(
                "alert.raised" if change.raised else "alert.cleared",
                change.alert.severity if change.raised else "info",
                change.why,
                change.pipeline,
                alert=change.alert.name,
                when=change.alert.when,
                value=round(change.value, 3) if change.value is not None else None,
                lasted_s=round(change.lasted_s, 1),
            )
        self._metrics.alerts_active = len(self._alerts.active)
