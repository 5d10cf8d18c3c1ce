"""Results as lines for a person at a terminal."""

from __future__ import annotations

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
