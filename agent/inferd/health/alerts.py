"""All alerts of a configuration, and what each of them was last seen at. Pure but for that memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferd.config.telemetry import Alert
from inferd.health.rules import AlertMemory, judge, limit

YES_OR_NO = ("throttled", "degraded")
UNITS = {"latency_p95_ms": "ms", "fps": "frames a second", "drop_pct": "%", "temperature_c": "°C", "power_w": "W"} | {
    "memory_available_mb": "MB",
    "disk_free_mb": "MB",
    "result_age_s": "s",
    "inference_energy_mj": "mJ",
}
WORDS = {
    "latency_p95_ms": "the p95 of its latency",
    "fps": "its speed",
    "drop_pct": "the share of its frames that is dropped",
    "result_age_s": "the age of its last result",
    "degraded": "it runs otherwise than it was meant to",
    "temperature_c": "the temperature of the processor",
    "throttled": "something slows the processor down, or its voltage is too low",
    "memory_available_mb": "memory that can still be had",
    "disk_free_mb": "room on the disk",
    "power_w": "what the device draws",
    "inference_energy_mj": "what the device draws for each result",
    "score": "the best score of its last result",
}


DIGITS = {"label_count": 0, "zone_count": 0, "score": 2}


def watched(alert: Alert) -> str:
    """Return the name of the value that an alert watches: its kind, with the label or zone where it has one."""
    match alert.when:
        case "label_count":
            return f"label_count {alert.label}"
        case "zone_count":
            return f"zone_count {alert.zone}"
    return alert.when


def _words(alert: Alert) -> str:
    match alert.when:
        case "label_count":
            return f"the number of {alert.label!r} seen" if alert.label else "the number of objects seen"
        case "zone_count":
            return f"the number of objects in zone {alert.zone!r}"
    return WORDS[alert.when]


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that began or is over.

    Attributes:
        alert: which.
        pipeline: whose; "" for the device.
        raised: whether it began.
        value: what was seen.
        lasted_s: how long it lasted; for one that begins, how long it has been so.
        why: the sentence for people.
    """

    alert: Alert
    pipeline: str
    raised: bool
    value: float | None
    lasted_s: float
    why: str


class Alerts:
    """Whoever made it owns it. Each alert is raised once and cleared once, however often one looks."""

    def __init__(self, alerts: Sequence[Alert] = ()) -> None:
        self._alerts = {alert.name: alert for alert in alerts}
        self._watched: dict[tuple[str, str], AlertMemory] = {}

    @property
    def active(self) -> list[tuple[Alert, str]]:
        """Alerts that are not over, and whose pipeline each is."""
        return [(self._alerts[name], pipeline) for (name, pipeline), seen in self._watched.items() if seen.raised]

    @property
    def configured(self) -> Sequence[Alert]:
        """The alerts that are watched for."""
        return tuple(self._alerts.values())

    def __len__(self) -> int:
        return len(self._alerts)

    def follow(self, alerts: Sequence[Alert], now_s: float) -> list[Change]:
        """Watch these from now on; those that are gone or say something else are over."""
        wanted = {alert.name: alert for alert in alerts}
        gone = {name for name, alert in self._alerts.items() if wanted.get(name) != alert}
        ended = [self._end(key, now_s, "it is no longer configured so") for key in self._raised() if key[0] in gone]
        self._watched = {key: seen for key, seen in self._watched.items() if key[0] not in gone}
        self._alerts = wanted
        return ended

    def look(self, values: Mapping[tuple[str, str], float | None], now_s: float) -> list[Change]:
        """Return what changed.

        Args:
            values: by what is watched and by pipeline, "" for the device; a pipeline that is not told any more is gone.
            now_s: monotonic.
        """
        gone = [key for key in self._watched if (watched(self._alerts[key[0]]), key[1]) not in values]
        changes = [self._end(key, now_s, "its pipeline is gone") for key in gone if self._watched[key].raised]
        for key in gone:
            del self._watched[key]
        for alert in self._alerts.values():
            for (when, pipeline), value in values.items():
                if when == watched(alert) and alert.pipeline in ("", pipeline):
                    changes += self._judge(alert, pipeline, value, now_s)
        return changes

    def _judge(self, alert: Alert, pipeline: str, value: float | None, now_s: float) -> list[Change]:
        key = (alert.name, pipeline)
        before = self._watched.get(key, AlertMemory())
        after = self._watched[key] = judge(alert, before, value, now_s)
        if after.raised == before.raised:
            return []
        began_s = after.began_s if after.raised else before.began_s
        return [
            Change(alert, pipeline, after.raised, value, now_s - began_s, sentence(alert, value, raised=after.raised))
        ]

    def _raised(self) -> list[tuple[str, str]]:
        return [key for key, seen in self._watched.items() if seen.raised]

    def _end(self, key: tuple[str, str], now_s: float, why: str) -> Change:
        seen = self._watched[key]
        return Change(self._alerts[key[0]], key[1], False, seen.value, now_s - seen.began_s, why)


def sentence(alert: Alert, value: float | None, *, raised: bool) -> str:
    """Return what is so, for people."""
    what = _words(alert)
    if alert.when in YES_OR_NO:
        return what if raised else f"no longer: {what}"
    side = "below" if alert.below is not None else "above"
    told = "unknown" if value is None else f"{value:.{DIGITS.get(alert.when, 1)}f} {UNITS.get(alert.when, '')}".rstrip()
    return f"{what} is {told}, {'' if raised else 'no longer '}{side} {limit(alert):g}"
