"""Where frames come from: the options of every source. Part of the configuration; `settings.py` holds the rest."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from inferd.config.base import ConfigTable
from inferd.wire.bounds import (
    DAY_S,
    HOUR_S,
    Argument,
    Count,
    FilePath,
    FrameRate,
    Pixels,
    Rate,
    Samples,
    Share,
    Text,
    Url,
)

Rotation = Literal[0, 90, 180, 270]
Flip = Literal["none", "horizontal", "vertical"]
FourCC = Annotated[str, Meta(pattern=r"\A([ -~]{4})?\Z", description='four letters such as "MJPG", or ""')]


class SyntheticSource(ConfigTable, frozen=True, tag_field="kind", tag="synthetic"):
    """A moving test picture, for trying things out.

    Attributes:
        width: pixels.
        height: pixels.
        frames: how many, then the input ends; 0 is without end.
        fail_after: raise a source error after so many frames; 0 is never.
        stall_after: give nothing more after so many frames; 0 is never.
    """

    width: Annotated[int, Meta(ge=1, le=8192)] = 640
    height: Annotated[int, Meta(ge=1, le=8192)] = 480
    frames: Count = 0
    fail_after: Count = 0
    stall_after: Count = 0


class ImagesSource(ConfigTable, frozen=True, tag_field="kind", tag="images"):
    """Still pictures: a file, a folder, or a pattern such as "shots/*.jpg".

    Attributes:
        path: the file, folder or pattern.
        fps: pictures per second where the pace is "recorded".
    """

    path: FilePath
    fps: Annotated[float, Meta(ge=0.001, le=1000)] = 1.0


class VideoSource(ConfigTable, frozen=True, tag_field="kind", tag="video"):
    """A video file.

    Attributes:
        path: the file.
        rotate: degrees clockwise that each picture is turned: 0, 90, 180 or 270.
        flip: mirrors it after that: "horizontal" swaps left and right, "vertical" top and bottom.
    """

    path: FilePath
    rotate: Rotation = 0
    flip: Flip = "none"


class NpzSource(ConfigTable, frozen=True, tag_field="kind", tag="npz"):
    """Tensors as they go to the model, from an .npz file: keys are input names, the first axis counts samples.

    Attributes:
        path: the file.
    """

    path: FilePath


class CommandSource(ConfigTable, frozen=True, tag_field="kind", tag="command"):
    """A program that writes pictures or sound on standard output; it is started again when it ends.

    In its arguments {width}, {height}, {fps}, {rate}, {channels} and {input} are replaced. What is 0 is what the model
    wants.

    Attributes:
        command: the program and each of its arguments; no shell reads them.
        preset: "rpicam", "ffmpeg", "ffmpeg-h264" or "arecord" instead of a command; docs/parts.md shows what they run.
        input: what {input} stands for: a file, an address, a sound card.
        format: "bgr", "rgb", "gray", "yuv420" or "mjpeg" for pictures; "s16", "s32" or "f32" (little-endian) for sound.
        width: pixels.
        height: pixels.
        fps: what {fps} stands for; also how fast recorded pictures are shown.
        rate_hz: samples a second.
        channels: of sound.
        to_hz: samples a second that its sound is brought to.
        window: samples in a frame of sound.
        hop: samples from the start of a window to the start of the next.
        finite: whether exit code 0 is the end of the input; else the program is started again.
        rotate: degrees clockwise that each picture is turned: 0, 90, 180 or 270.
        flip: mirrors it after that: "horizontal" swaps left and right, "vertical" top and bottom.
    """

    command: tuple[Argument, ...] = ()
    preset: Literal["rpicam", "ffmpeg", "ffmpeg-h264", "arecord"] | None = None
    input: Text = ""
    format: Literal["bgr", "rgb", "gray", "yuv420", "mjpeg", "s16", "s32", "f32"] | None = None
    width: Pixels = 0
    height: Pixels = 0
    fps: Annotated[float, Meta(ge=0.001, le=1000)] = 30.0
    rate_hz: Rate = 0.0
    channels: Annotated[int, Meta(ge=1, le=64)] = 1
    to_hz: Rate = 0.0
    window: Samples = 0
    hop: Samples = 0
    finite: bool = False
    rotate: Rotation = 0
    flip: Flip = "none"


class V4l2Source(ConfigTable, frozen=True, tag_field="kind", tag="v4l2"):
    """A camera of the kernel: USB webcams and the like. What is 0 is what the model wants.

    Attributes:
        path: such as "/dev/video0", or better, for it stays the same, "/dev/v4l/by-id/usb-...-index0".
        width: pixels at least; the camera gives the smallest size it has from there on.
        height: see `width`.
        fps: frames per second at least; 0 leaves it to the camera.
        fourcc: pixel format such as "MJPG" or "YUYV"; "" takes the one that costs least.
        rotate: degrees clockwise that each picture is turned: 0, 90, 180 or 270.
        flip: mirrors it after that: "horizontal" swaps left and right, "vertical" top and bottom.
    """

    path: FilePath = "/dev/video0"
    width: Pixels = 0
    height: Pixels = 0
    fps: FrameRate = 0.0
    fourcc: FourCC = ""
    rotate: Rotation = 0
    flip: Flip = "none"


class StreamSource(ConfigTable, frozen=True, tag_field="kind", tag="stream"):
    """A camera on the network: RTSP, HTTP motion JPEG, or what else FFmpeg reads.

    Attributes:
        url: rtsp://, rtsps://, http:// or https://.
        username: "" for none.
        password_file: a file that holds the password and nothing else; "" for none.
        open_timeout_s: seconds that connecting may take.
        read_timeout_s: seconds without data before it reconnects.
        fps: how often a second a camera is asked that gives one picture for each request; others give what they give.
        rotate: degrees clockwise that each picture is turned: 0, 90, 180 or 270.
        flip: mirrors it after that: "horizontal" swaps left and right, "vertical" top and bottom.
    """

    url: Url
    username: Text = ""
    password_file: FilePath = ""
    open_timeout_s: Annotated[float, Meta(ge=0.1, le=HOUR_S)] = 5.0
    read_timeout_s: Annotated[float, Meta(ge=0.1, le=HOUR_S)] = 5.0
    fps: Annotated[float, Meta(ge=0.001, le=1000)] = 1.0
    rotate: Rotation = 0
    flip: Flip = "none"


class WavSource(ConfigTable, frozen=True, tag_field="kind", tag="wav"):
    """Sound from a .wav file. What is 0 is what the model wants.

    Attributes:
        path: the file.
        to_hz: samples a second that its sound is brought to.
        window: samples in a frame.
        hop: samples from the start of a window to the start of the next.
    """

    path: FilePath
    to_hz: Rate = 0.0
    window: Samples = 0
    hop: Samples = 0


class IioSource(ConfigTable, frozen=True, tag_field="kind", tag="iio"):
    """A sensor of the kernel (Industrial I/O): acceleration, rotation, temperature, light. What is 0 is what the model wants.

    Attributes:
        device: its name, such as "bmi160", or its folder below /sys/bus/iio/devices.
        channels: such as ["accel_x", "accel_y", "accel_z"]; none takes all, sorted by name.
        rate_hz: readings a second.
        window: readings in a frame.
        hop: readings from the start of a window to the start of the next.
        mode: "buffer" (evenly, up to many thousands a second), "poll" (value by value), or "auto": the first where it works.
        trigger: what starts a reading of a buffer, by name; "" leaves what is set, or takes the sensor's own.
    """

    device: Text
    channels: tuple[Text, ...] = ()
    rate_hz: Rate = 0.0
    window: Samples = 0
    hop: Samples = 0
    mode: Literal["auto", "buffer", "poll"] = "auto"
    trigger: Text = ""


class LinesSource(ConfigTable, frozen=True, tag_field="kind", tag="lines"):
    """Readings as text, one a line (CSV, JSON), of a file, a serial port, a FIFO or a program. What is 0 is what the model wants.

    Attributes:
        path: the file, FIFO or serial port ("/dev/serial/by-id/..." stays the same); "" where a program prints them.
        baud: symbols a second of a serial port, such as 9600 or 115200; 0 leaves it as it is.
        command: the program and each of its arguments; no shell reads them.
        format: "csv" or "jsonl".
        columns: names of the first line or keys, or numbers from 0; none takes all.
        rate_hz: readings a second.
        window: readings in a frame.
        hop: readings from the start of a window to the start of the next.
        finite: whether a program's exit code 0 is the end of the input; else it is started again.
    """

    path: FilePath = ""
    baud: Annotated[int, Meta(ge=0, le=4_000_000)] = 0
    command: tuple[Argument, ...] = ()
    format: Literal["csv", "jsonl"] = "csv"
    columns: tuple[Text, ...] = ()
    rate_hz: Rate = 0.0
    window: Samples = 0
    hop: Samples = 0
    finite: bool = False


class CropsSource(ConfigTable, frozen=True, tag_field="kind", tag="crops"):
    """What another pipeline found, cut out of its frames, for a second model to look closer: a cascade.

    Attributes:
        of: the name of the pipeline that finds.
        labels: which of its objects; none is all.
        margin: how much of a box's sides is added around it (0.1 is a tenth on each side).
        min_score: objects with a lower score are left out.
        most: at most so many of a frame, the best first.
        every_s: an object that is followed is looked at again after so long; 0 is in every frame.
        join_s: a result of the first pipeline waits at most so long for what is seen in its objects, and says it of each
            (as `closer`); 0 joins nothing.
    """

    of: Text
    labels: tuple[Text, ...] = ()
    margin: Annotated[float, Meta(ge=0, le=10)] = 0.1
    min_score: Share = 0.0
    most: Annotated[int, Meta(ge=1, le=1000)] = 4
    every_s: Annotated[float, Meta(ge=0, le=DAY_S)] = 0.0
    join_s: Annotated[float, Meta(ge=0, le=60)] = 0.0


Source = (
    SyntheticSource
    | ImagesSource
    | VideoSource
    | NpzSource
    | CommandSource
    | V4l2Source
    | StreamSource
    | WavSource
    | IioSource
    | LinesSource
    | CropsSource
)


def kind_of(source: Source) -> str:
    """Return the name under which a source stands in a configuration and in the table of parts."""
    return str(source.__struct_config__.tag)
