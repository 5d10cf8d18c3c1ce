"""Reads pictures or sound from a program's standard output: rpicam-vid, ffmpeg, arecord, your own."""

from __future__ import annotations

from typing import Protocol

import msgspec

from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.records import Array, ColorOrder, Frame
from inferd.sources.command_presets import PRESETS, Preset
from inferd.sources.decoding import pcm
from inferd.sources.decoding.audio_windows import Sound
from inferd.sources.decoding.child_program import Program, fill_in
from inferd.sources.decoding.mjpeg import MjpegReader, decode_jpeg
from inferd.sources.decoding.picture_limit import most_pixels
from inferd.sources.decoding.raw_video import FORMATS, RawPictures
from inferd.system.clock import Clock

DEFAULT_RATE_HZ = 16000.0  # of nearly all sound models
READ_BYTES = 1 << 16
MOST_DAMAGED = 30  # frames in a row; then its output is not of the configured format
SHOWN_BYTES = 60


class Assembler(Protocol):
    """Assembles frames from a program's bytes."""

    order: ColorOrder
    rate_hz: float

    def free_buffer(self) -> memoryview:
        """Return the buffer for the next bytes; never empty after `pop_frame` returned None."""

    def commit(self, count: int) -> None:
        """Record how many bytes were written there."""

    def pop_frame(self) -> Array | None:
        """Return the next whole picture or window; None where there is none yet.

        Raises:
            FrameError: a frame is lost.
        """

    def flush(self) -> Array | None:
        """Return what is left when no more bytes come; None where nothing is.

        Raises:
            FrameError: an incomplete picture remains.
        """


class Command:
    """Reads a program's output: pictures (h, w, 3) or (h, w) uint8, or windows of sound (window, channels) float32.

    No shell reads its arguments. Its process group ends when the source is closed or the worker dies.
    """

    def __init__(self, options: settings.CommandSource, clock: Clock) -> None:
        """Start the program.

        Args:
            options: the command and its output format.
            clock: stamps the frames.

        Raises:
            SourceError: there is no such program, or its output format is not configured.
        """
        command, kind, options = _resolve(options)
        self.live = not options.finite
        self._finite = options.finite
        self._fps = options.fps
        self._assembler = _assembler(kind, options)
        named = PRESETS[options.preset].package if options.preset and not options.command else ""
        self._program = Program(command, clock, named)
        self._clock = clock
        self._hop = options.hop or options.window
        self._first = b""
        self._seq = 0
        self._lost = 0
        self._over = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame.

        Raises:
            FrameUnfinished: only a part came in `timeout_s`.
            SourceTimeout: nothing came.
            FrameError: a frame is damaged or was cut off.
            EndOfInput: a finite program has ended with exit code 0.
            SourceError: the program failed, or its output is not of the configured format.
        """
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        came = False
        while (whole := self._next_frame()) is None:
            left_s = max(0.0, (ends_ns - self._clock.monotonic_ns()) / 1e9)
            room = self._assembler.free_buffer()
            try:
                count = self._program.read_into(room, left_s)
            except SourceTimeout:
                if came:
                    raise FrameUnfinished(self._program.name, "a frame is on its way") from None
                raise
            if not count:
                return self._frame(self._end())
            came = True
            self._first = self._first or bytes(room[: min(count, SHOWN_BYTES)])
            self._assembler.commit(count)
        return self._frame(whole)

    def close(self) -> None:
        """End the program and all that it started."""
        self._program.close()

    def _next_frame(self) -> Array | None:
        try:
            whole = self._assembler.pop_frame()
        except FrameError as exc:
            self._lost += 1
            if self._lost >= MOST_DAMAGED:
                raise SourceError(exc.part, f"{exc.message} ({self._lost} in a row); check what it writes") from exc
            raise
        if whole is not None:
            self._lost = 0
        return whole

    def _frame(self, data: Array) -> Frame:
        seq = self._seq
        self._seq += 1
        return Frame(
            data=data,
            seq=seq,
            taken_ns=self._clock.monotonic_ns(),
            taken_at=self._clock.wall_s(),
            color_order=self._assembler.order,
            position_s=self._position_s(seq) if self._finite else None,
            rate_hz=self._assembler.rate_hz,
        )

    def _position_s(self, seq: int) -> float:
        if self._assembler.rate_hz:
            return seq * self._hop / self._assembler.rate_hz
        return seq / self._fps

    def _end(self) -> Array:
        """Return what is left of a finite program's sound, else say how the program ended.

        Raises:
            FrameError, EndOfInput, SourceError: see `read`.
        """
        ended = self._program.ended()
        if not (self._finite and ended is not None and ended.ok):
            wrote = "" if self._seq or not self._first else f"; it wrote {_shown(self._first)} and no whole frame"
            raise SourceError(self._program.name, self._program.exit_summary(ended) + wrote)
        over, self._over = self._over, True
        last = None if over else self._assembler.flush()
        self._over = last is None
        if last is None:
            raise EndOfInput(self._program.name, f"all {self._seq} frames were read")
        return last


class _Raw:
    """Raw pictures."""

    rate_hz = 0.0

    def __init__(self, kind: str, options: settings.CommandSource) -> None:
        self._pictures = RawPictures(kind, options.width, options.height)
        self.order = self._pictures.order
        self._whole: Array | None = None

    def free_buffer(self) -> memoryview:
        return self._pictures.free_buffer()

    def commit(self, count: int) -> None:
        self._whole = self._pictures.commit(count)

    def pop_frame(self) -> Array | None:
        whole, self._whole = self._whole, None
        return whole

    def flush(self) -> None:
        if self._pictures.begun:
            raise FrameError("command", "ended in the middle of a picture; check its width, height and format")


class _Jpeg:
    """A sequence of JPEGs."""

    order: ColorOrder = "bgr"
    rate_hz = 0.0

    def __init__(self) -> None:
        self._jpegs = MjpegReader("command")
        self._most_pixels = most_pixels()
        self._chunk = bytearray(READ_BYTES)

    def free_buffer(self) -> memoryview:
        return memoryview(self._chunk)

    def commit(self, count: int) -> None:
        self._jpegs.feed(memoryview(self._chunk)[:count])

    def pop_frame(self) -> Array | None:
        jpeg = self._jpegs.pop_jpeg()
        return None if jpeg is None else decode_jpeg("command", jpeg, self._most_pixels)

    def flush(self) -> None:
        if self._jpegs.begun:
            raise FrameError("command", "ended in the middle of a JPEG")


class _Pcm:
    """Sound."""

    order: ColorOrder = "gray"

    def __init__(self, kind: str, options: settings.CommandSource) -> None:
        self._kind = kind
        self._channels = options.channels
        rates_hz = (options.rate_hz, options.to_hz)
        self._sound = Sound("command", rates_hz, options.window, options.hop, options.channels)
        self.rate_hz = self._sound.rate_hz
        self._sample_bytes = pcm.BYTES[kind] * options.channels
        self._chunk = bytearray(max(1, READ_BYTES // self._sample_bytes) * self._sample_bytes)
        self._have = 0

    def free_buffer(self) -> memoryview:
        wanted = min(len(self._chunk), self._sound.needed * self._sample_bytes)
        return memoryview(self._chunk)[self._have : wanted]

    def commit(self, count: int) -> None:
        self._have += count
        whole = self._have // self._sample_bytes * self._sample_bytes
        samples = pcm.decode(bytes(self._chunk[:whole]), self._kind, self._channels)
        left = self._chunk[whole : self._have]
        self._chunk[: len(left)] = left
        self._have = len(left)
        self._sound.add(samples)

    def pop_frame(self) -> Array | None:
        return self._sound.pop_window()

    def flush(self) -> Array | None:
        return self._sound.flush()


def _assembler(kind: str, options: settings.CommandSource) -> Assembler:
    if kind in FORMATS:
        return _Raw(kind, options)
    if kind == "mjpeg":
        return _Jpeg()
    return _Pcm(kind, options)


def _resolve(options: settings.CommandSource) -> tuple[list[str], str, settings.CommandSource]:
    """Return the arguments with placeholders filled in, the output format, and the options with defaults for every 0.

    Raises:
        SourceError: the output format is not configured.
    """
    preset = PRESETS[options.preset] if options.preset else None
    kind = options.format or (preset.format if preset else None)
    if kind is None:
        raise SourceError("command", 'has no output format; set format, such as "bgr", "mjpeg" or "s16"')
    options = _numbers(options, preset)
    values = {
        "width": str(options.width),
        "height": str(options.height),
        "fps": _number_text(options.fps),
        "rate": _number_text(options.rate_hz),
        "channels": str(options.channels),
        "input": options.input or (preset.input if preset else ""),
    }
    return fill_in(options.command or (preset.command if preset else ()), values), kind, options


def _numbers(options: settings.CommandSource, preset: Preset | None) -> settings.CommandSource:
    multiple = preset.width_multiple if preset else 1
    rate_hz = options.rate_hz or DEFAULT_RATE_HZ
    changed = {
        "width": -(-options.width // multiple) * multiple,
        "rate_hz": rate_hz,
        "window": options.window or round(options.to_hz or rate_hz),
    }
    if not options.fps > 0:
        raise SourceError("command", f"fps must be above 0, not {options.fps}")
    return msgspec.structs.replace(options, **changed)


def _number_text(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _shown(data: bytes) -> str:
    """Return the first bytes in a readable form."""
    return repr(data.decode("ascii")) if data.isascii() else data[:16].hex(" ")
