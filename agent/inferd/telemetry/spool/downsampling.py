"""Makes one `metrics` message of two that follow each other, so that a month without a broker fits on the disk.

Histograms add up exactly, counters are those of the later one, gauges are averaged by the time they cover. What is lost
is only when within the interval something was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from inferd.histogram import merge
from inferd.telemetry.metrics import METRICS, Kind, fitted, histogram, latency
from inferd.telemetry.spool.record_codec import Record
from inferd.wire.decoding import decode
from inferd.wire.telemetry import Figure, Header, Latency, Metrics, Number, encode

LEVELS = 6  # 64 messages become one: about an hour of those that come every minute

_KINDS: Mapping[tuple[str, str], Kind] = {(metric.group, metric.name): metric.kind for metric in METRICS}
_header = msgspec.json.Decoder(Header)
_body = msgspec.json.Decoder(Metrics)


def thinner(records: Sequence[Record]) -> list[Record]:
    """Return half as many records: each of two neighbours under the number, the time and the header of the later one.

    What cannot be thinned (another start of the agent, another format) stays as it is.
    """
    thinned: list[Record] = []
    waiting: Record | None = None
    for record in records:
        together = _together(waiting, record) if waiting is not None else None
        if together is not None:
            thinned.append(together)
            waiting = None
            continue
        if waiting is not None:
            thinned.append(waiting)
        waiting = record
    return thinned if waiting is None else [*thinned, waiting]


def _together(earlier: Record, later: Record) -> Record | None:
    try:
        before, after = decode(_header, earlier.payload), decode(_header, later.payload)
        if (before.device, before.boot_id) != (after.device, after.boot_id) or earlier.topic != later.topic:
            return None
        body = combine(decode(_body, earlier.payload), decode(_body, later.payload))
    except msgspec.MsgspecError:
        return None
    return msgspec.structs.replace(later, payload=encode(after, body))


def combine(earlier: Metrics, later: Metrics) -> Metrics:
    """Return the figures of both intervals, one after the other, as those of one."""
    weights = (earlier.interval_s, later.interval_s)
    return fitted(
        msgspec.structs.replace(
            later,
            interval_s=round(sum(weights), 4),
            system=_figures("system", earlier.system, later.system, weights),
            agent=_figures("agent", earlier.agent, later.agent, weights),
            processes=_groups("processes", earlier.processes, later.processes, weights),
            pipelines=_groups("pipelines", earlier.pipelines, later.pipelines, weights),
        )
    )


Weights = tuple[float, float]


def _groups(
    group: str, earlier: Mapping[str, dict[str, Figure]], later: Mapping[str, dict[str, Figure]], weights: Weights
) -> dict[str, dict[str, Figure]]:
    return {name: _figures(group, earlier.get(name, {}), later.get(name, {}), weights) for name in {**earlier, **later}}


def _figures(
    group: str, earlier: Mapping[str, Figure], later: Mapping[str, Figure], weights: Weights
) -> dict[str, Figure]:
    return {
        name: _figure(_KINDS.get((group, name), "counter"), earlier.get(name), later.get(name), weights)
        for name in {**earlier, **later}
    }


def _figure(kind: Kind, earlier: Figure, later: Figure, weights: Weights) -> Figure:
    if isinstance(earlier, Mapping) or isinstance(later, Mapping):
        old = earlier if isinstance(earlier, Mapping) else {}
        new = later if isinstance(later, Mapping) else {}
        return {key: _value(kind, old.get(key), new.get(key), weights) for key in {**old, **new}}
    return _mean(kind, earlier, later, weights)


def _value(kind: Kind, earlier: Number | Latency, later: Number | Latency, weights: Weights) -> Number | Latency:
    if isinstance(earlier, Latency) and isinstance(later, Latency):
        return latency(merge(histogram(earlier), histogram(later)))
    if isinstance(earlier, Latency) or isinstance(later, Latency):
        return later if isinstance(later, Latency) else earlier
    return _mean(kind, earlier, later, weights)


def _mean(kind: Kind, earlier: Number, later: Number, weights: Weights) -> Number:
    if earlier is None or later is None:
        return earlier if later is None else later
    if kind == "counter":
        return later
    return round((earlier * weights[0] + later * weights[1]) / (sum(weights) or 1.0), 4)
