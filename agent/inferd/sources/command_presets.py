"""Presets of the `command` source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PictureFormat = Literal["bgr", "rgb", "gray", "yuv420", "mjpeg"]
SoundFormat = Literal["s16", "s32", "f32"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A command and its output format.

    Attributes:
        command: its arguments, with placeholders.
        format: of its output.
        width_multiple: widths that it writes without row padding.
        package: the package to install where it is missing.
        input: default for {input}.
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
    # The H.264 decoder of a Raspberry Pi up to 4 (V4L2 memory to memory); a Pi 5 has none. Never run on one here.
    "ffmpeg-h264": Preset(
        command=(
            *(
                "ffmpeg",
                "-nostdin",
                "-loglevel",
                "error",
                "-rtsp_transport",
                "tcp",
                "-c:v",
                "h264_v4l2m2m",
                "-i",
                "{input}",
            ),
            *("-an", "-vf", "scale={width}:{height}", "-f", "rawvideo", "-pix_fmt", "bgr24", "pipe:1"),
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
