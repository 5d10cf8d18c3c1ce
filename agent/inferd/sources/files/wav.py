"""Sound from a .wav file, in windows."""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path

from inferd.config import settings
from inferd.errors import EndOfInput, SourceError
from inferd.foreign_text import printable
from inferd.records import Array, Frame
from inferd.sources.decoding import pcm
from inferd.sources.decoding.audio_windows import Sound
from inferd.sources.decoding.sliding_windows import LARGEST_SAMPLES
from inferd.system.clock import Clock

KINDS = {1: "u8", 2: "s16", 3: "s24", 4: "s32"}  # bytes of a sample → what they mean
FASTEST_HZ = 1_000_000  # a header that claims more is damaged
CONVERT = "convert it: ffmpeg -i IN.wav -c:a pcm_s16le OUT.wav"


class Wav:
    """Reads windows (window, channels) float32, -1..1, each with its position; the last one is padded with silence."""

    live = False

    def __init__(self, options: settings.WavSource, clock: Clock) -> None:
        """Open the file.

        Args:
            options: the path, to which rate it is brought and how it is cut; without a window it is one.
            clock: stamps the frames.

        Raises:
            SourceError: there is no such file, or it is no PCM sound.
        """
        self._path = options.path
        self._clock = clock
        self._file = _open(options.path)
        self._kind = KINDS[self._file.getsampwidth()]
        self._channels = self._file.getnchannels()
        rate_hz = float(self._file.getframerate())
        whole = math.ceil(self._file.getnframes() * (options.to_hz or rate_hz) / rate_hz)
        window = options.window or min(whole, LARGEST_SAMPLES // self._channels)
        self._sound = Sound(options.path, (rate_hz, options.to_hz), window, options.hop, self._channels)
        self._closed = False

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - a file is read, not waited for
        """Return the next window.

        Raises:
            EndOfInput: all were read.
            SourceError: it was closed, or is cut off inside its header.
        """
        if self._closed:
            raise SourceError(self._path, "was closed; open it again")
        taken_ns = self._clock.monotonic_ns()
        window = self._next()
        if window is None:
            raise EndOfInput(self._path, f"all {self._sound.given} windows were read")
        seq = self._sound.given - 1
        return Frame(
            data=window,
            seq=seq,
            taken_ns=taken_ns,
            taken_at=self._clock.wall_s(),
            capture_ns=self._clock.monotonic_ns() - taken_ns,
            origin=f"{printable(self._path)}#{seq}",
            position_s=self._sound.start_s,
            rate_hz=self._sound.rate_hz,
        )

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._file.close()

    def _next(self) -> Array | None:
        while (window := self._sound.pop_window()) is None:
            data = self._file.readframes(self._sound.needed)
            if not data:
                return self._sound.flush()
            self._sound.add(pcm.decode(data, self._kind, self._channels))
        return window


def _open(path: str) -> wave.Wave_read:
    """Open a .wav file.

    Raises:
        SourceError: it is not there, or not one that can be read.
    """
    if not Path(path).is_file():
        raise SourceError(path, "no such .wav file; check the path")
    try:
        file = wave.open(path, "rb")  # noqa: SIM115 - the source closes it
    except OSError as exc:
        raise SourceError(path, f"cannot be read ({exc.strerror}); check its permissions") from exc
    except (wave.Error, EOFError, RuntimeError, ValueError, struct.error) as exc:  # `wave` documents the first only
        raise SourceError(path, f"is no .wav with plain PCM ({str(exc) or 'it is cut off'}); {CONVERT}") from exc
    readable_sound = file.getnframes() and file.getsampwidth() in KINDS and 0 < file.getframerate() <= FASTEST_HZ
    if not readable_sound:
        file.close()
        raise SourceError(path, f"holds no sound that can be read; {CONVERT}")
    return file
