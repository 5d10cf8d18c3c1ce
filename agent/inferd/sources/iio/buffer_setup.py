"""Sets a sensor's buffer up through sysfs, writing only what is not so already: a start-up script may have done it.

What cannot be had is `NoBuffer`, whose sentence says why; the sensor can be read value by value then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inferd.sources.iio.scan_layout import Element, ElementLayout, lay_out, parse_type
from inferd.sources.iio.sysfs import channel_names, kind_of, meaning, number, text

LENGTH = 128  # scans that the kernel keeps at least: a second of most sensors
WAKES_PER_S = 2.0  # how often a slow window still says that it fills
CLOSE = 0.01  # of a rate: sensors round what they are asked for
PLACES = ("scan_elements", "buffer0")  # the second alone is there in some drivers of Linux 5.11 and newer


class NoBuffer(Exception):
    """A sensor cannot be read through its buffer, and why."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a buffer gives.

    Attributes:
        size: bytes of one scan.
        places: where the channels lie that are wanted, in their order.
        rate_hz: scans a second.
    """

    size: int
    places: tuple[ElementLayout, ...]
    rate_hz: float

    @property
    def columns(self) -> int:
        """How many numbers the channels have together."""
        return sum(place.element.repeat for place in self.places)


def set_up(folder: Path, wanted: tuple[str, ...], rate_hz: float, window: int, trigger: str) -> Scan:
    """Prepare a sensor's buffer for these channels; `start` makes it run.

    Args:
        folder: where the kernel shows the sensor.
        wanted: the channels in their order; none is all that can be read one by one, or else all that the buffer has.
        rate_hz: scans a second; 0 leaves it to the sensor.
        window: scans from one window to the next, so that it wakes us for no fewer than that, if that is often enough.
        trigger: what starts a scan, by name; "" leaves it, or takes the sensor's own.

    Raises:
        NoBuffer: it has none, or not of these channels, or may not be set up, or refuses.
    """
    scans = next((folder / place for place in PLACES if (folder / place).is_dir()), None)
    buffer = folder / "buffer"
    if scans is None or not (buffer / "enable").exists():
        raise NoBuffer("it has no buffer")
    names = _names(folder, scans, wanted)
    _take_trigger(folder, trigger)
    rate_hz = _take_rate(folder, names[0], rate_hz)
    for name in names:  # what others enabled stays, and has its room in a scan
        _put(scans / f"in_{name}_en", "1", buffer)
    _put(buffer / "length", str(max(LENGTH, 2 * window)), buffer)
    if (buffer / "watermark").exists():
        _put(buffer / "watermark", str(max(1, min(window, int(rate_hz / WAKES_PER_S)))), buffer)
    size, places = _places(folder, scans, names)
    return Scan(size, places, rate_hz)


def start(folder: Path) -> None:
    """Have the buffer filled.

    Raises:
        NoBuffer: the sensor refuses, or we may not.
    """
    _put(folder / "buffer/enable", "1", None)


def stop(folder: Path) -> None:
    """Stop filling the buffer, if we may; a sensor that is gone has none."""
    with suppress(OSError):
        (folder / "buffer/enable").write_text("0")


def _names(folder: Path, scans: Path, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the channels to take; the same as value by value where none is named, so that a window stays what it is."""
    there = _elements(scans)
    names = wanted or tuple(channel_names(folder)) or tuple(name for name in there if name != "timestamp")
    if missing := [name for name in names if name not in there]:
        raise NoBuffer(f"its buffer has no {', '.join(missing)}")
    if not names:
        raise NoBuffer("its buffer has no channels")
    return names


def _elements(scans: Path) -> list[str]:
    return sorted(file.name.removeprefix("in_").removesuffix("_en") for file in scans.glob("in_*_en"))


def _take_trigger(folder: Path, wanted: str) -> None:
    """See that something starts the scans: what is named, what is set already, or the sensor's own trigger."""
    current = folder / "trigger/current_trigger"
    if not current.exists():
        return  # a sensor that keeps its own time
    if not wanted and text(current):
        return
    there = sorted(filter(None, (text(one / "name") for one in folder.parent.glob("trigger*"))))
    own = [name for name in there if name.startswith(f"{text(folder / 'name')}-dev")]
    chosen = wanted or next(iter(own), "")
    if not chosen:
        raise NoBuffer(f"nothing triggers it; name a trigger, of which there is {', '.join(there) or 'none'}")
    _put(current, chosen, folder / "buffer")


def _take_rate(folder: Path, name: str, wanted_hz: float) -> float:
    """Ask for a rate where one is wanted, and return the one that it is."""
    trigger = text(folder / "trigger/current_trigger")
    shown_by = [one for one in folder.parent.glob("trigger*") if trigger and text(one / "name") == trigger]
    files = [folder / f"{what}sampling_frequency" for what in ("", f"in_{name}_", f"in_{kind_of(name)}_", "in_")]
    there = [file for file in (*files, *(one / "sampling_frequency" for one in shown_by)) if file.exists()]
    for file in there:
        if wanted_hz > 0 and abs((number(file) or 0.0) - wanted_hz) > CLOSE * wanted_hz:
            _put(file, f"{wanted_hz:g}", folder / "buffer")
        if told_hz := number(file):
            return told_hz
    if wanted_hz > 0:
        return wanted_hz
    raise NoBuffer("it does not say how fast it samples; say rate_hz")


def _places(folder: Path, scans: Path, names: Sequence[str]) -> tuple[int, tuple[ElementLayout, ...]]:
    """Return the size of a scan, and where the channels lie in it; what else is enabled has its room too."""
    try:
        enabled = [_element(scans, name) for name in _elements(scans) if text(scans / f"in_{name}_en") == "1"]
    except ValueError as exc:
        raise NoBuffer(str(exc)) from exc
    starts, size = lay_out(enabled)
    by_name = {element.name: element for element in enabled}
    if missing := [name for name in names if name not in by_name]:
        raise NoBuffer(f"{', '.join(missing)} cannot be enabled beside the others")
    return size, tuple(ElementLayout(by_name[name], starts[name], *meaning(folder, name)) for name in names)


def _element(scans: Path, name: str) -> Element:
    return parse_type(name, int(text(scans / f"in_{name}_index")), text(scans / f"in_{name}_type"))


def _put(file: Path, value: str, running: Path | None) -> None:
    """Write a value where it is not so already; a buffer that is running is stopped first, for it refuses changes."""
    if text(file) == value:
        return
    try:
        if running is not None and text(running / "enable") == "1":
            (running / "enable").write_text("0")
        file.write_text(value)
    except OSError as exc:
        raise NoBuffer(f"{file.parent.name}/{file.name} takes no {value} ({exc.strerror})") from exc
