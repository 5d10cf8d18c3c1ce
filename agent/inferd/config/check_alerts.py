"""Checks of alerts that types cannot express."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inferd.config.telemetry import Alert

YES_OR_NO = ("throttled", "degraded")
SEEN = ("label_count", "zone_count", "score")
OF_A_PIPELINE = ("latency_p95_ms", "fps", "drop_pct", "result_age_s", "degraded", *SEEN)


def wrong_alerts(alerts: Sequence[Alert], pipelines: Collection[str]) -> str:
    """Return the first fault, as a sentence without its end; "" if there is none."""
    names = [alert.name for alert in alerts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"two alerts are called {twice!r}; each needs a name of its own"
    return next((f"alert {alert.name!r}: {why}" for alert in alerts if (why := _wrong(alert, pipelines))), "")


def _wrong(alert: Alert, pipelines: Collection[str]) -> str:
    limits = [limit for limit in (alert.above, alert.below) if limit is not None]
    if alert.when in YES_OR_NO and (limits or alert.clear is not None):
        return f'"{alert.when}" is so or is not; leave above, below and clear away'
    if alert.when not in YES_OR_NO and len(limits) != 1:
        return "say either above or below"
    if alert.clear is not None and limits and (alert.clear > limits[0]) != (alert.below is not None):
        return f"clear = {alert.clear:g} is on the bad side of {limits[0]:g}"
    return _wrong_subject(alert, pipelines) or ("" if alert.for_s >= 0 else "for_s cannot be negative")


def _wrong_subject(alert: Alert, pipelines: Collection[str]) -> str:
    """Return what is wrong with what an alert is about."""
    if alert.label and alert.when != "label_count":
        return 'label goes with when = "label_count"'
    if bool(alert.zone) != (alert.when == "zone_count"):
        return 'when = "zone_count" and zone go together'
    if alert.pipeline and alert.when not in OF_A_PIPELINE:
        return f'"{alert.when}" is the device\'s; leave pipeline away'
    if alert.pipeline and pipelines and alert.pipeline not in pipelines:
        return f"there is no pipeline {alert.pipeline!r}; there are {', '.join(sorted(pipelines))}"
    return ""
