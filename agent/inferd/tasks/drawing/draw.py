"""Results drawn on pictures, for people to look at. Not part of the loop."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from inferd.config import settings
from inferd.records import Array, Box, ColorOrder, Label, LineCount, Overlay, Result, ZoneCount
from inferd.tasks.segment import BACKGROUNDS, NOTHING

Color = tuple[int, int, int]  # blue, green, red, 0..255
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_HEIGHT_PX = 22.0  # of a capital letter at scale 1
TEXT_SHARE = 0.022  # height of a capital letter, of the picture's shorter side
SMALLEST_TEXT_PX, LARGEST_TEXT_PX = 7.0, 40.0
BANNER_WIDTH = 0.94  # of the picture's, at most
BANNER_DARKNESS = 0.65
POINTS_PER_FACE = 6
GOLDEN_RATIO = 0.61803398875  # steps of this around the colour wheel keep neighbouring ids far apart
DARK: Color = (20, 20, 20)
LIGHT: Color = (255, 255, 255)
TINT = 0.5  # of a class's colour over the picture
BODY = 17  # points of a body in COCO's order: face, shoulders, elbows, wrists, hips, knees, ankles; left before right
ARMS = ((5, 6), (5, 7), (7, 9), (6, 8), (8, 10))
LEGS = ((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16))
BONES = ((0, 1), (0, 2), (1, 3), (2, 4), *ARMS, *LEGS)
SURE = 0.2  # of a joint, for its bones to be drawn
BRIGHT = 140  # luminance 0..255 above which dark text reads better


@dataclass(frozen=True, slots=True)
class Plate:
    """A filled rectangle for a name, pixels."""

    x: int
    y: int
    width: int
    height: int

    def covers(self, other: Plate) -> bool:
        """Whether the two have a pixel in common."""
        beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        return not (beside or self.y + self.height <= other.y or other.y + other.height <= self.y)


def draw(
    picture: Array,
    result: Result,
    overlay: Overlay | None = None,
    zones: Sequence[settings.ZoneConfig] = (),
    lines: Sequence[settings.LineConfig] = (),
) -> Array:
    """Return a copy of a picture with what was found in it.

    Args:
        picture: (h, w, 3) uint8 BGR, or (h, w) uint8 grey; not changed.
        result: labels go on a banner at the top (shares and numbers too), boxes with their labels and keypoints where they
            are; 17 points are a body and get its bones.
        overlay: what a segmentation saw, painted over the picture.
        zones: outlined, with how many are in each.
        lines: drawn, with how many crossed each in and out.

    Returns:
        (h, w, 3) uint8 BGR.
    """
    canvas = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == len("hw") else picture.copy()
    if overlay is not None:
        _paint(canvas, overlay)
    pen = _Pen(canvas)
    for at, zone in enumerate(zones):
        pen.zone(zone, (result.zones or {}).get(zone.name), class_color(at))
    for at, line in enumerate(lines):
        pen.line(line, (result.lines or {}).get(line.name), class_color(len(zones) + at))
    for box in reversed(result.boxes or ()):  # the best one on top
        pen.frame(box)
    pen.points(result.keypoints or ())
    pen.names(result.boxes or ())  # above all frames
    if rows := _banner_rows(result, overlay):
        pen.banner(rows)
    return canvas


def bgr(picture: Array, color_order: ColorOrder) -> Array:
    """Return a picture (h, w, 3) or (h, w) uint8 with its channels in OpenCV's order."""
    swapped: Array = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if color_order == "rgb" else picture
    return swapped


def png(picture: Array) -> bytes:
    """Return (h, w, 3) uint8 BGR or (h, w) uint8 as a PNG; quickly written, so not of the smallest."""
    encoded, content = cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    return content.tobytes() if encoded else b""


def _banner_rows(result: Result, overlay: Overlay | None) -> Sequence[Label]:
    """Return what stands on the banner; the shares of a segmentation in the colours that they are painted in."""
    if result.mask is not None and overlay is not None:
        shares = {name: share for name, share in result.mask.labels.items() if name.lower() not in BACKGROUNDS}
        return [Label(overlay.names.index(name), name, share) for name, share in shares.items()]
    return result.labels or ()


def _paint(canvas: Array, overlay: Overlay) -> None:
    """Tint (h, w, 3) uint8 where a class was seen; each pixel takes the class of the cell it lies in."""
    rows, columns = overlay.classes.shape
    height, width = canvas.shape[:2]
    geometry = overlay.geometry
    y = ((np.arange(height) + 0.5) / height - geometry.offset_y) / geometry.scale_y * rows
    x = ((np.arange(width) + 0.5) / width - geometry.offset_x) / geometry.scale_x * columns
    seen = overlay.classes[np.ix_(np.clip(y, 0, rows - 1).astype(int), np.clip(x, 0, columns - 1).astype(int))]
    seen[(y < 0) | (y >= rows)] = NOTHING
    seen[:, (x < 0) | (x >= columns)] = NOTHING
    painted = seen != NOTHING
    classes, which = np.unique(seen[painted], return_inverse=True)
    colors = np.array([class_color(index) for index in classes.tolist()], np.float32).reshape(-1, 3)
    canvas[painted] = (canvas[painted] * (1 - TINT) + colors[which] * TINT).astype(np.uint8)


def class_color(class_id: int) -> Color:
    """Return the colour of a class, the same in every picture: bright, and unlike those of the ids next to it."""
    hue = (0.33 + class_id * GOLDEN_RATIO) % 1.0
    lightness = 0.5 + 0.1 * (class_id % 2)
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.95)
    return round(blue * 255), round(green * 255), round(red * 255)


class _Pen:
    """Draws on one canvas, in sizes that fit it."""

    def __init__(self, canvas: Array) -> None:
        self._canvas = canvas
        self._height, self._width = canvas.shape[:2]
        text_px = min(max(TEXT_SHARE * min(canvas.shape[:2]), SMALLEST_TEXT_PX), LARGEST_TEXT_PX)
        self._scale = text_px / FONT_HEIGHT_PX
        self._stroke = max(1, round(text_px / 9))
        self._line = max(2, round(text_px / 5))
        self._pad = max(2, round(text_px / 2.5))

    def frame(self, box: Box) -> None:
        """Draw the outline of a box, with a dark edge so that it stands off from any background."""
        top_left, bottom_right = self._corners(box)
        cv2.rectangle(self._canvas, top_left, bottom_right, DARK, self._line + 2, cv2.LINE_AA)
        color = class_color(box.track or box.id)  # who is followed has a colour of his own
        cv2.rectangle(self._canvas, top_left, bottom_right, color, self._line, cv2.LINE_AA)

    def names(self, boxes: Sequence[Box]) -> None:
        """Write label and score of each box on a filled plate at its edge; the best choose their places first."""
        taken: list[Plate] = []
        for box in boxes:
            number = f"#{box.track} " if box.track else ""
            closer = "".join(f", {label.label} {label.score:.0%}" for label in (box.closer or {}).values())
            text = self._fitting(f"{number}{box.label} {box.score:.0%}{closer}", 1.0, self._width - 2 * self._pad)
            taken.append(self._place(box, text, taken))
            self._plate(taken[-1], text, class_color(box.track or box.id))

    def _place(self, box: Box, text: str, taken: Sequence[Plate]) -> Plate:
        """Return where a name goes: above its box, inside it or below, where it covers no other; else above."""
        (left, top), (_, bottom) = self._corners(box)
        width, height = (side + 2 * self._pad for side in self._size(text, 1.0))
        x = max(min(left - self._line // 2, self._width - width), 0)
        places = [Plate(x, y, width, height) for y in (top - height, top, bottom, bottom - height)]
        inside = [place for place in places if 0 <= place.y <= self._height - height]
        free = [place for place in inside if not any(place.covers(other) for other in taken)]
        return next(iter(free or inside), Plate(x, 0, width, height))

    def _plate(self, plate: Plate, text: str, color: Color) -> None:
        corner = (plate.x + plate.width - 1, plate.y + plate.height - 1)
        cv2.rectangle(self._canvas, (plate.x, plate.y), corner, color, cv2.FILLED)
        self._write(text, (plate.x + self._pad, plate.y + plate.height - self._pad), 1.0, _readable_on(color))

    def zone(self, zone: settings.ZoneConfig, count: ZoneCount | None, color: Color) -> None:
        """Outline a zone and write its name and how many are in it at its first corner."""
        corners = [self._pixel(point) for point in zone.points]
        outline = np.array(corners, np.int32)
        cv2.polylines(
            self._canvas, [outline], isClosed=True, color=DARK, thickness=self._line + 2, lineType=cv2.LINE_AA
        )
        cv2.polylines(self._canvas, [outline], isClosed=True, color=color, thickness=self._line, lineType=cv2.LINE_AA)
        self._note(zone.name if count is None else f"{zone.name}: {count.count}", corners[0], color)

    def line(self, line: settings.LineConfig, count: LineCount | None, color: Color) -> None:
        """Draw a line and write its name and counts at its start."""
        start, end = self._pixel(line.start), self._pixel(line.end)
        cv2.arrowedLine(self._canvas, start, end, DARK, self._line + 2, cv2.LINE_AA, tipLength=0.03)
        cv2.arrowedLine(self._canvas, start, end, color, self._line, cv2.LINE_AA, tipLength=0.03)
        self._note(line.name if count is None else f"{line.name}: {count.in_} in, {count.out_} out", start, color)

    def _note(self, text: str, at: tuple[int, int], color: Color) -> None:
        width, height = (side + 2 * self._pad for side in self._size(text, 1.0))
        x, y = (
            max(min(place, room - side), 0)
            for place, room, side in zip(at, (self._width, self._height), (width, height), strict=True)
        )
        self._plate(Plate(x, y, width, height), text, color)

    def _pixel(self, point: tuple[float, float]) -> tuple[int, int]:
        y, x = point
        return round(x * (self._width - 1)), round(y * (self._height - 1))

    def points(self, keypoints: Sequence[tuple[float, float, float]]) -> None:
        """Draw keypoints as dots; those of one face share nothing but their size."""
        if len(keypoints) == BODY:
            self._bones(keypoints)
        radius = self._line + 1
        for index, (y, x, _) in enumerate(keypoints):
            centre = (round(x * (self._width - 1)), round(y * (self._height - 1)))
            cv2.circle(self._canvas, centre, radius + 1, DARK, cv2.FILLED, cv2.LINE_AA)
            cv2.circle(self._canvas, centre, radius, class_color(1 + index % POINTS_PER_FACE), cv2.FILLED, cv2.LINE_AA)

    def _bones(self, keypoints: Sequence[tuple[float, float, float]]) -> None:
        """Draw lines between the joints of a body, where the model is fairly sure of both."""
        for joint, other in BONES:
            ends = [keypoints[joint], keypoints[other]]
            if min(score for _, _, score in ends) < SURE:
                continue
            a, b = [(round(x * (self._width - 1)), round(y * (self._height - 1))) for y, x, _ in ends]
            cv2.line(self._canvas, a, b, DARK, self._line + 2, cv2.LINE_AA)
            cv2.line(self._canvas, a, b, class_color(joint), self._line, cv2.LINE_AA)

    def banner(self, labels: Sequence[Label]) -> None:
        """List the labels on a darkened strip at the top, the first one larger, each with a bar for its score."""
        sizes = [1.35] + [1.0] * (len(labels) - 1)
        row_heights = [self._size("Ag", size)[1] + 2 * self._pad for size in sizes]
        while len(row_heights) > 1 and sum(row_heights) > self._height / 2:
            row_heights.pop()
        strip = self._canvas[: min(sum(row_heights) + self._pad, self._height)]
        strip[:] = (strip * (1 - BANNER_DARKNESS)).astype(np.uint8)
        y = self._pad // 2
        for label, size, row_height in zip(labels, sizes, row_heights, strict=False):
            self._row(label, y, row_height, size)
            y += row_height

    def _row(self, label: Label, y: int, height: int, size: float) -> None:
        """Write one label of the banner with its score and bar."""
        color = class_color(label.id)
        score = f"{label.score:.0%}"
        score_width = self._size("100%", size)[0]
        bar_width = round(self._width * 0.12)
        x = self._pad * 2
        baseline = y + height - self._pad
        cap = self._size("A", size)[1]
        filled = round(bar_width * min(max(label.score, 0.0), 1.0))
        cv2.rectangle(self._canvas, (x, baseline - cap), (x + bar_width, baseline), (90, 90, 90), cv2.FILLED)
        if filled:
            cv2.rectangle(self._canvas, (x, baseline - cap), (x + filled, baseline), color, cv2.FILLED)
        x += bar_width + self._pad * 2
        self._write(score, (x, baseline), size, LIGHT)
        x += score_width + self._pad * 2
        room = round(self._width * BANNER_WIDTH) - x
        self._write(self._fitting(label.label, size, room), (x, baseline), size, LIGHT)

    def _corners(self, box: Box) -> tuple[tuple[int, int], tuple[int, int]]:
        y0, x0, y1, x1 = box.box
        inset = self._line // 2  # so that a frame at the edge keeps its full width
        left, right = (min(max(round(x * self._width), inset), self._width - 1 - inset) for x in (x0, x1))
        top, bottom = (min(max(round(y * self._height), inset), self._height - 1 - inset) for y in (y0, y1))
        return (left, top), (right, bottom)

    def _size(self, text: str, size: float) -> tuple[int, int]:
        """Return the width and height of a text in pixels, without what hangs below its line."""
        (width, height), _ = cv2.getTextSize(text, FONT, self._scale * size, self._stroke)
        return width, height

    def _fitting(self, text: str, size: float, room_px: int) -> str:
        """Return the text, cut short with dots where it is wider than the room."""
        text = text.encode("ascii", "replace").decode()  # OpenCV's strokes know no other letters
        if self._size(text, size)[0] <= room_px:
            return text
        while text and self._size(text + "...", size)[0] > room_px:
            text = text[:-1]
        return text.rstrip(" ,") + "..." if text else ""

    def _write(self, text: str, at: tuple[int, int], size: float, color: Color) -> None:
        cv2.putText(self._canvas, text, at, FONT, self._scale * size, color, self._stroke, cv2.LINE_AA)


def _readable_on(color: Color) -> Color:
    """Return dark or light, whichever reads better on a colour (ITU-R BT.601 luminance)."""
    blue, green, red = color
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > BRIGHT else LIGHT
