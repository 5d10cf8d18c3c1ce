"""The plugs: one Protocol for each kind of part, and the tables that find an implementation by name.

Adding a part means: its file, one line in a table here, its options in `config/settings.py`, one row in its contract
suite (`tests/contracts/`) and one heading in `docs/parts.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol, TypeVar, runtime_checkable

from inferd.errors import ConfigError
from inferd.records import Array, EngineInfo, Frame, Geometry, Incoming, LinkEvent, Message, Overlay, Result

T = TypeVar("T")


class Source(Protocol):
    """Gives frames, oldest first. Opened by its constructor, owned by one source thread, closed by whoever opened it.

    A constructor or `read` that fails raises SourceError; the owner closes the source and opens a new one after a pause.
    """

    live: bool
    """Whether frames come when the world makes them (a camera); False where they wait for the reader (a file)."""

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame; never resized, stamped at capture.

        Raises:
            SourceTimeout: nothing came in `timeout_s`; reading again is allowed.
            FrameUnfinished: something came, not yet a whole frame; the source is alive, reading again is allowed.
            FrameError: this frame is lost; reading again gives the next one.
            EndOfInput: a finite source is through.
            SourceError: anything else; the source is of no more use.
        """

    def close(self) -> None:
        """Let go of the device or file. Twice is fine."""


class Engine(Protocol):
    """One loaded model. Made by a control thread, then owned by one loop thread; only the owner calls it.

    Views are lent, never given: an array handed to `into` or `decode` is the model's own memory and must not be kept
    after the callback returns (the next `invoke` would refuse, or read freed memory).
    """

    info: EngineInfo

    def write(self, into: Callable[[Sequence[Array]], T]) -> T:
        """Call `into` with writable views of all inputs, in the order of `info.inputs`, and return what it returns."""

    def invoke(self) -> None:
        """Run the model once.

        Raises:
            EngineError: the runtime refused.
        """

    def read(self, decode: Callable[[Sequence[Array]], T]) -> T:
        """Call `decode` with views of all outputs, in the order of `info.outputs`, and return what it returns."""

    def reset(self) -> None:
        """Forget what a stateful model remembers of earlier frames."""

    def close(self) -> None:
        """Free the model. Twice is fine."""


class Preprocess(Protocol):
    """Writes a frame into a model's inputs. Pure but for the scratch arrays it keeps; owned by one loop thread."""

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:
        """Fill the input views in place and tell how model coordinates map back to the frame.

        Raises:
            SourceError: the frame is not what this model can take (its shape, its tensor names).
        """


class Task(Protocol):
    """Reads a model's outputs. No clock, and nothing kept of the arrays it is lent; owned by one loop thread.

    One that averages over frames remembers a bounded amount of what it read before; a new one begins anew.
    """

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return what the outputs say, coordinates normalised to the source picture."""


@runtime_checkable
class WatchesInput(Protocol):
    """A task that compares what comes out with what went in. `watch` comes before each invoke, on the same thread."""

    def watch(self, inputs: Sequence[Array]) -> None:
        """Copy what is needed of the inputs, which were just written; the runtime may reuse their memory."""


@runtime_checkable
class Stateful(Protocol):
    """A preprocess or task that carries something over from frame to frame. On the same thread as its other calls."""

    def forget(self) -> None:
        """Begin anew: the next frame does not follow the one before."""


@runtime_checkable
class PaintsPixels(Protocol):
    """A task whose answer is a picture, of which its results only tell the sums."""

    def overlay(self) -> Overlay | None:
        """Return what the last `decode` saw, for drawing; None before the first."""


class Link(Protocol):
    """The way out of the device. Made and closed by control; `publish` may be called from any thread and never blocks.

    The newest payload of each retained topic is kept and sent again, before "online", on every connect.
    """

    connected: bool

    def publish(self, message: Message) -> None:
        """Take a message; while the broker is away it waits in bounded memory, oldest dropped first and counted."""

    def dropped(self) -> int:
        """Return how many messages the bound has cost since the start."""

    def incoming(self) -> list[Incoming]:
        """Return what was heard since the last time, oldest first: requests, and topics it was made to listen to."""

    def events(self) -> list[LinkEvent]:
        """Return what a person should hear of the link since the last time."""

    def close(self, timeout_s: float) -> None:
        """Send what waits, then "offline", wait for its acknowledgement, and disconnect; give up after `timeout_s`."""


SOURCES = {
    "synthetic": "inferd.sources.synthetic:Synthetic",
    "images": "inferd.sources.files.images:Images",
    "video": "inferd.sources.files.video:Video",
    "npz": "inferd.sources.files.npz:Npz",
    "crops": "inferd.sources.crops:Crops",
    "command": "inferd.sources.command:Command",
    "v4l2": "inferd.sources.camera.v4l2:V4l2",
    "stream": "inferd.sources.camera.network:open_stream",
    "wav": "inferd.sources.files.wav:Wav",
    "iio": "inferd.sources.iio.source:open_iio",
    "lines": "inferd.sources.lines.source:TextLines",
}

ENGINES = {
    "litert": "inferd.runtime.litert:LiteRt",
    "onnx": "inferd.runtime.onnx:Onnx",
    "fake": "inferd.runtime.fake:Fake",
}

TASKS = {
    "classify": "inferd.tasks.classify:Classify",
    "detect": "inferd.tasks.detect:build",
    "segment": "inferd.tasks.segment:Segment",
    "pose": "inferd.tasks.pose:Pose",
    "embed": "inferd.tasks.embed:Embed",
    "anomaly": "inferd.tasks.anomaly:build",
    "regress": "inferd.tasks.regress:Regress",
    "raw": "inferd.tasks.raw:Raw",
}

LINKS = {
    "mqtt": "inferd.telemetry.mqtt.link:MqttLink",
    "memory": "inferd.telemetry.memory_link:MemoryLink",
    "lines": "inferd.telemetry.stdout_link:LineLink",
}


def find(kind: str, table: dict[str, str], name: str) -> Any:  # Any: each caller knows the Protocol of its table
    """Import and return the class or factory that `table` gives for `name`.

    Raises:
        ConfigError: there is no such name; the sentence lists those there are.
    """
    try:
        module, attribute = table[name].split(":")
    except KeyError:
        raise ConfigError(
            f"{kind} {name!r}", f"there is no such {kind}; there are {', '.join(sorted(table))}"
        ) from None
    return getattr(import_module(module), attribute)
