"""Commands that we know to work, for the `command` source. The versions they were written for stand beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PictureFormat = Literal["bgr", "rgb", "gray", "yuv420", "mjpeg"]
SoundFormat = Literal["s16", "s32", "f32"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A command and what it writes.

    Attributes:
        command: its arguments, with places to fill in.
        format: what it writes.
        width_multiple: the widths that it writes without padding at the end of each row.
        package: what to install where it is missing.
        input: what {input} stands for where nothing is said.
    """

    command: tuple[str, ...]
    format: PictureFormat | SoundFormat
    package: str
    width_multiple: int = 1
    input: str = ""


PRESETS: Mapping[str, Preset] = {
    # rpicam-apps pads rows of yuv420 to 64 bytes (raspberrypi/rpicam-apps issue 188), so only such widths are asked for.
    "rpicam": Preset(
        command=(
            *("rpicam-vid", "--nopreview", "--timeout", "0", "--flush", "--verbose", "0", "--codec", "yuv420"),
            *("--width", "{width}", "--height", "{height}", "--framerate", "{fps}", "--output", "-"),
        ),
        format="yuv420",
        package="rpicam-apps",
        width_multiple=64,
    ),
    "ffmpeg": Preset(
        command=(
            *("ffmpeg", "-nostdin", "-loglevel", "error", "-i", "{input}"),
            *("-vf", "scale={width}:{height}", "-f", "rawvideo", "-pix_fmt", "bgr24", "pipe:1"),
        ),
        format="bgr",
        package="ffmpeg",
    ),
    "arecord": Preset(
        command=("arecord", "-q", "-D", "{input}", "-t", "raw", "-f", "S16_LE", "-r", "{rate}", "-c", "{channels}"),
        format="s16",
        package="alsa-utils",
        input="default",
    ),
}
