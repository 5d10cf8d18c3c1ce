"""From boxes to what people ask: who is new, who is where, how many crossed. Between the task and the report."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from inferd.config import settings
from inferd.records import Result
from inferd.tasks.rules.tracker import Tracker
from inferd.tasks.rules.zones import LineCounter, ZoneCounter


class TrackingRules:
    """Adds tracks, zones and lines to the results of one pipeline. Owned by its loop thread; told the time."""

    def __init__(
        self,
        track: settings.TrackConfig,
        zones: Sequence[settings.ZoneConfig] = (),
        lines: Sequence[settings.LineConfig] = (),
    ) -> None:
        """Take the rules; zones and lines need tracks, so they switch tracking on."""
        self._zones = {zone.name: ZoneCounter(zone) for zone in zones}
        self._lines = {line.name: LineCounter(line) for line in lines}
        follows = track.enabled or bool(zones) or bool(lines)
        self._tracker = Tracker(track) if follows else None
        self._now_ns = self._shift_ns = 0

    def follow(self, result: Result, now_ns: int) -> Result:
        """Return the result with track ids, and with what zones and lines count; as it is where nothing is followed.

        Args:
            result: of one frame; one without boxes is left as it is.
            now_ns: when that frame was taken; where it goes back (a recording begins again), time goes on from where it was.
        """
        if self._tracker is None or result.boxes is None:
            return result
        now_ns = self._onward(now_ns)
        ids = self._tracker.follow(result.boxes, now_ns)
        tracks = self._tracker.confirmed
        return replace(
            result,
            boxes=tuple(replace(box, track=id_ or None) for box, id_ in zip(result.boxes, ids, strict=True)),
            zones={name: zone.update(tracks, now_ns) for name, zone in self._zones.items()} or None,
            lines={name: line.update(tracks, now_ns) for name, line in self._lines.items()} or None,
        )

    def _onward(self, now_ns: int) -> int:
        if now_ns + self._shift_ns < self._now_ns:
            self._shift_ns = self._now_ns - now_ns
        self._now_ns = now_ns + self._shift_ns
        return self._now_ns
