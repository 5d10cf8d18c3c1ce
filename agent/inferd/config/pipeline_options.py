"""What is derived from results: tracks, zones, lines, schedules. Part of the configuration; `settings.py` holds the rest.

Places are y, x from 0 (top, left) to 1 on the source picture, in the order in which boxes are told.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from inferd.config.base import ConfigTable
from inferd.wire.bounds import DAY_S, HOUR_S, FilePath, Megabytes, Name, Share, Text

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Anchor = Literal["bottom", "middle"]
Point = tuple[Share, Share]
TimeOfDay = Annotated[
    str, Meta(pattern=r"\A(?:[01]\d|2[0-3]):[0-5]\d\Z|\A24:00\Z", description="a time such as 07:30, 24:00 at most")
]


class TrackConfig(ConfigTable, frozen=True):
    """The same object keeps the same number from frame to frame. Zones and lines switch it on by themselves.

    Attributes:
        enabled: whether boxes get a `track`.
        confirm: an object counts once it was seen in so many frames.
        lost_s: an object that is not seen for so long is gone.
        start_score: a box with a lower score continues a track, but begins none.
        overlap: how much of two boxes (intersection over union, 0..1) makes them one object.
    """

    enabled: bool = False
    confirm: Annotated[int, Meta(ge=1, le=1000)] = 3
    lost_s: Annotated[float, Meta(ge=0, le=HOUR_S)] = 1.0
    start_score: Share = 0.5
    overlap: Share = 0.25


class ZoneConfig(ConfigTable, frozen=True):
    """A part of the picture in which objects are counted, and for how long they stay.

    Attributes:
        name: what it is called in results.
        points: the corners of a polygon, y, x each, in order.
        labels: which objects count; none is all.
        anchor: the point of a box that must lie in it: "bottom" (the middle of its lower edge, where feet are) or "middle".
    """

    name: Name
    points: Annotated[tuple[Point, ...], Meta(min_length=3, max_length=1000)]
    labels: tuple[Text, ...] = ()
    anchor: Anchor = "bottom"


class LineConfig(ConfigTable, frozen=True):
    """A line that objects cross: "in" to the right-hand side of someone who walks from start to end, else "out".

    Attributes:
        name: what it is called in results.
        start: y, x.
        end: y, x.
        labels: which objects count; none is all.
        anchor: as of a zone.
    """

    name: Name
    start: Point
    end: Point
    labels: tuple[Text, ...] = ()
    anchor: Anchor = "bottom"


class MaskConfig(ConfigTable, frozen=True):
    """A part of the picture that is covered or does not count.

    Attributes:
        points: the corners of a polygon, y, x each, in order.
        use: "privacy" (filled with grey before the model, samples and snapshots), "ignore" (boxes that stand in it are dropped
            and counted), or "change" (not looked at by `[pipeline.change]`).
        labels: which objects "ignore" drops; none is all.
        anchor: the point of a box that "ignore" looks at, as of a zone.
    """

    points: Annotated[tuple[Point, ...], Meta(min_length=3, max_length=1000)]
    use: Literal["privacy", "ignore", "change"] = "privacy"
    labels: tuple[Text, ...] = ()
    anchor: Anchor = "bottom"


class ChangeConfig(ConfigTable, frozen=True):
    """Frames in which nothing has changed are not shown to the model; they count as `frames_dropped.unchanged`.

    Attributes:
        enabled: whether frames are compared. A model that remembers earlier frames sees all of them.
        threshold: grey levels (0..255) by which a tile of the picture must differ on average; noise beyond it is learned.
        min_interval_s: the model sees no frame sooner than this after the last one.
        max_interval_s: the model sees a frame at least so often.
    """

    enabled: bool = False
    threshold: Annotated[float, Meta(ge=0.1, le=255)] = 6.0
    min_interval_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    max_interval_s: Annotated[float, Meta(ge=0.1, le=3600)] = 2.0


class Schedule(ConfigTable, frozen=True):
    """When the pipeline runs, in the device's own time zone; several add up. Without any, and while the clock is unset: always.

    Attributes:
        days: "mon" to "sun"; none is every day.
        begins: such as "07:30".
        ends: such as "19:00"; earlier than `begins` is on the next day, "24:00" is midnight.
    """

    days: tuple[Day, ...] = ()
    begins: TimeOfDay = "00:00"
    ends: TimeOfDay = "24:00"


class Samples(ConfigTable, frozen=True):
    """Hard samples are kept on this device for improving the model; nothing is kept unless `keep_mb` is set.

    Attributes:
        keep_mb: so much room they may take, the oldest go first; 0 keeps none. They never leave the device by themselves.
        folder: where; "" takes `samples` in the state directory.
        margin: the two best labels are as close as this, or an object's score as close to `unsure`.
        unsure: a score that is neither yes nor no.
        every_s: at most one in so many seconds.
        drift: how far (0..1) the last 50 answers must be from the 500 before; 0 never looks.
    """

    keep_mb: Megabytes = 0.0
    folder: FilePath = ""
    margin: Share = 0.1
    unsure: Share = 0.5
    every_s: Annotated[float, Meta(ge=0, le=DAY_S)] = 10.0
    drift: Share = 0.5
