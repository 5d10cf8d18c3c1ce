"""What a pipeline carries over from frame to frame, and when it begins anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferd.plugins import Engine, Preprocess, Stateful, Task
from inferd.preprocess import carries_over, wanted
from inferd.preprocess.signal.steps import is_signal
from inferd.records import Frame
from inferd.wire.manifest import ModelDescription

STREAM_FRAMES = 16  # windows that may wait where each is missed: half a second of a wake word's


class TemporalState:
    """What is carried over: forgotten where a frame does not follow the one before. Owned by one loop thread."""

    def __init__(self, forget: Sequence[Callable[[], None]] = (), *, gapless: bool = False) -> None:
        """Begin without a memory.

        Args:
            forget: what is called to begin anew.
            gapless: whether a window of a signal that was dropped ends it as well. A camera's frames are moments; who
                listens would hear a word cut in two.
        """
        self._forget = tuple(forget)
        self._gapless = gapless
        self._last = -1

    @property
    def frames(self) -> int:
        """How many frames may wait for the model: more than the newest only where each one counts."""
        return STREAM_FRAMES if self._gapless else 1

    def follow(self, frame: Frame) -> None:
        """Take the next frame; begin anew where its source did, or where a window was lost on the way.

        Raises:
            EngineError: the model could not be made to forget.
        """
        last, self._last = self._last, frame.seq
        if frame.seq < last or (self._gapless and is_signal(frame) and frame.seq != last + 1):
            for forget in self._forget:
                forget()


def memory_of(description: ModelDescription, engine: Engine, preprocess: Preprocess, task: Task) -> TemporalState:
    """Return what an engine and the steps beside it carry over."""
    stateful = description.facts.stateful
    forget = [part.forget for part in (preprocess, task) if isinstance(part, Stateful)]
    if stateful:
        forget.append(engine.reset)
    takes_picture = wanted(description, engine.info).width > 0
    return TemporalState(forget, gapless=carries_over(description) or (stateful and not takes_picture))


def remembers(description: ModelDescription) -> bool:
    """Whether what is said of a frame depends on those before it."""
    averages = description.manifest.output.average not in (None, 1)
    return description.facts.stateful or averages or carries_over(description)
