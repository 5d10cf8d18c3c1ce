"""Results as lines for a person at a terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from inferd.records import Result

RAW_SHOWN = 8  # values of a raw output or a vector


def lines_of(result: Result) -> list[str]:
    """Return what a result says, a line each."""
    lines = [f"  {label.score:.3f}  {label.label or label.id}" for label in result.labels or ()]
    for box in result.boxes or ():
        corners = ", ".join(f"{value:.3f}" for value in box.box)
        number = f" #{box.track}" if box.track else ""
        lines.append(f"  {box.score:.3f}  {box.label or box.id}{number}  y0, x0, y1, x1 = {corners}")
        lines += [f"    {by}: {seen.score:.3f}  {seen.label or seen.id}" for by, seen in (box.closer or {}).items()]
    lines += [
        f"  {output.name} {list(output.shape)} {output.dtype}: {_first(output.values)}"
        for output in result.outputs or ()
    ]
    lines += [f"  {y:.3f}, {x:.3f}  {score:.3f}" for y, x, score in result.keypoints or ()]
    lines += [f"  {share:.1%}  {label}" for label, share in (result.mask.labels if result.mask else {}).items()]
    lines += [f"  {value.name}: {value.value:.6g} {value.unit}".rstrip() for value in result.values or ()]
    if result.embedding is not None:
        lines.append(f"  {len(result.embedding)} values: {_first(result.embedding)}")
    if result.score is not None:
        lines.append(f"  score {result.score:.4f}")
    for name, zone in (result.zones or {}).items():
        lines.append(f"  zone {name}: {zone.count}, the first for {zone.longest_s:.1f} s")
    lines += [f"  line {name}: {line.in_} in, {line.out_} out" for name, line in (result.lines or {}).items()]
    return lines or ["  nothing above the threshold"]


def line_of(payload: bytes) -> bytes:
    """Return a published result as a line for people: `street person 7, car 1 | door 6 | 29 ms`."""
    try:
        return _line(msgspec.json.decode(payload)).encode("utf-8", "replace")
    except (msgspec.DecodeError, UnicodeError, LookupError, TypeError, AttributeError, ValueError):
        return payload  # it is printed all the same


def _line(result: dict[str, Any]) -> str:  # Any: what JSON gives
    crossed = (result.get("lines") or {}).items()
    parts = (
        ", ".join(_found(result)) or "nothing",
        ", ".join(f"{name} {zone['count']}" for name, zone in (result.get("zones") or {}).items()),
        ", ".join(f"{name} {line['in']} in, {line['out']} out" for name, line in crossed),
        f"{result['timing_ms']['total']:.0f} ms",
    )
    return f"{result['pipeline']} {' | '.join(part for part in parts if part)}"


def _found(result: dict[str, Any]) -> Iterator[str]:  # Any: what JSON gives
    labels = Counter(box["label"] or str(box["id"]) for box in result.get("boxes") or ())
    yield from (f"{label} {count}" for label, count in labels.most_common())
    yield from (f"{label['label'] or label['id']} {label['score']:.2f}" for label in (result.get("labels") or ())[:1])
    shares = ((result.get("mask") or {}).get("labels") or {}).items()
    yield from (f"{label} {share:.0%}" for label, share in shares)
    yield from (f"{one['name']} {one['value']:.4g} {one['unit']}".rstrip() for one in result.get("values") or ())
    if points := result.get("keypoints"):
        yield f"{len(points)} points"
    if (score := result.get("score")) is not None:
        yield f"score {score:.3g}"
    if vector := result.get("embedding"):
        yield f"{len(vector)} numbers"
    yield from (f"{output['name']} {output['shape']}" for output in result.get("outputs") or ())


class Repeats:
    """Prints a sentence once, and how many more there were like it: 509 rows may have one fault."""

    def __init__(self) -> None:
        self._last = ""
        self._more = 0

    def lines(self, sentence: str) -> Iterator[str]:
        """Yield what is to be printed for a sentence; sentences that differ only in numbers are alike."""
        alike = re.sub(r"\d+", "0", sentence)
        if alike == self._last:
            self._more += 1
            return
        yield from self.rest()
        self._last = alike
        yield sentence

    def rest(self) -> Iterator[str]:
        """Yield how many more sentences there were like the last."""
        if self._more:
            yield f"{self._more} more like this"
        self._last, self._more = "", 0


def _first(values: object) -> str:
    flat: list[object] = []
    stack = [values]
    while stack and len(flat) <= RAW_SHOWN:
        top = stack.pop()
        if isinstance(top, list | tuple):
            stack.extend(reversed(top))
        else:
            flat.append(top)
    shown = ", ".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in flat[:RAW_SHOWN])
    return shown + (", ..." if len(flat) > RAW_SHOWN else "")
