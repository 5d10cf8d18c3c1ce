"""State that a pipeline carries from frame to frame, and when it is reset."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferd.plugins import Engine, Preprocess, Stateful, Task
from inferd.preprocess import carries_over, wanted
from inferd.preprocess.signal.steps import is_signal
from inferd.records import Frame
from inferd.wire.manifest import ModelDescription

STREAM_FRAMES = 16  # windows that may wait where none may be lost: half a second of a wake word's


class TemporalState:
    """Resets carried-over state where a frame does not follow the one before. Owned by one loop thread."""

    def __init__(self, forget: Sequence[Callable[[], None]] = (), *, gapless: bool = False) -> None:
        """Begin without state.

        Args:
            forget: functions that reset the state.
            gapless: whether a dropped signal window resets too. A camera's frames stand alone; a spoken word would be
                cut in two.
        """
        self._forget = tuple(forget)
        self._gapless = gapless
        self._last = (0, -1)  # opening and number

    @property
    def frames(self) -> int:
        """How many frames may wait for the model: more than one only where none may be lost."""
        return STREAM_FRAMES if self._gapless else 1

    def advance(self, frame: Frame) -> None:
        """Record the next frame; reset if its source was reopened or restarted, or a window was lost.

        Raises:
            EngineError: the model's state could not be reset.
        """
        (opening, last), self._last = self._last, (frame.opening, frame.seq)
        restarted = frame.opening != opening or frame.seq < last
        if restarted or (self._gapless and is_signal(frame) and frame.seq != last + 1):
            for forget in self._forget:
                forget()


def memory_of(description: ModelDescription, engine: Engine, preprocess: Preprocess, task: Task) -> TemporalState:
    """Return the carried-over state of an engine and its steps."""
    stateful = description.facts.stateful
    forget = [part.forget for part in (preprocess, task) if isinstance(part, Stateful)]
    if stateful:
        forget.append(engine.reset)
    takes_picture = wanted(description, engine.info).width > 0
    return TemporalState(forget, gapless=carries_over(description) or (stateful and not takes_picture))


def remembers(description: ModelDescription) -> bool:
    """Whether a result depends on earlier frames."""
    averages = description.manifest.output.average not in (None, 1)
    return description.facts.stateful or averages or carries_over(description)
