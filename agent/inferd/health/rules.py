"""When an alert begins and when it is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferd.config.telemetry import Alert

SHARE = 0.1  # how far back on the good side a value must be before an alert is over, where nothing else is said
COUNTS = ("label_count", "zone_count")  # whole numbers: over as soon as they are back, unless `clear` says otherwise
YES = 0.5  # what "throttled" and "degraded" are held against: they are 0 or 1


@dataclass(frozen=True, slots=True)
class AlertMemory:
    """What is remembered of one alert of one pipeline.

    Attributes:
        raised: whether it has begun and is not over.
        changing_since_s: since when the value says otherwise; None where it does not.
        began_s: when it began; 0.0 where it has not.
        value: what was last seen.
    """

    raised: bool = False
    changing_since_s: float | None = None
    began_s: float = 0.0
    value: float | None = None


def judge(alert: Alert, watched: AlertMemory, value: float | None, now_s: float) -> AlertMemory:
    """Return what is to be remembered after a look; it changes from or to `raised` at most once in `for_s`.

    An unknown value neither raises nor clears an alert: the time towards either starts again.
    """
    if value is None:
        return replace(watched, changing_since_s=None)
    otherwise = is_over(alert, value) if watched.raised else is_bad(alert, value)
    if not otherwise:
        return replace(watched, changing_since_s=None, value=value)
    since_s = now_s if watched.changing_since_s is None else watched.changing_since_s
    if now_s - since_s < alert.for_s:
        return replace(watched, changing_since_s=since_s, value=value)
    return AlertMemory(not watched.raised, None, since_s if not watched.raised else 0.0, value)


def is_bad(alert: Alert, value: float) -> bool:
    """Whether a value is one at which the alert begins."""
    if alert.below is not None:
        return value < alert.below
    return value > limit(alert)


def is_over(alert: Alert, value: float) -> bool:
    """Whether a value is one at which the alert ends: not only back, but clearly so."""
    if alert.when in COUNTS and alert.clear is None:
        return not is_bad(alert, value)
    if alert.below is not None:
        return value > (alert.clear if alert.clear is not None else alert.below + abs(alert.below) * SHARE)
    if alert.above is None:
        return value <= YES
    return value < (alert.clear if alert.clear is not None else alert.above - abs(alert.above) * SHARE)


def limit(alert: Alert) -> float:
    """Return the value that is watched for."""
    if alert.below is not None:
        return alert.below
    return YES if alert.above is None else alert.above
