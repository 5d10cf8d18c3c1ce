"""The clip that comes with inferd, and the truth about each of its frames."""

from __future__ import annotations

from pathlib import Path

import msgspec

from inferd.errors import ModelError

SIDE = 8  # cells of a picture, each way
INK = 15  # the darkest cell


class Clip(msgspec.Struct, frozen=True):
    """What clip.json says.

    Attributes:
        fps: frames a second.
        frames: how many there are.
        labels: the digit that was written, by frame.
        samples: which handwriting sample is shown, by frame.
        pictures: 64 hexadecimal digits by sample: 8 rows of 8 cells, 0 (paper) to f (ink).
    """

    fps: float
    frames: int
    labels: tuple[str, ...]
    samples: tuple[int, ...]
    pictures: tuple[str, ...]

    def truth(self, frame: int) -> str:
        """Return the digit that was written; a frame beyond the end belongs to the next round of the clip."""
        return self.labels[frame % self.frames]

    def picture(self, frame: int) -> tuple[tuple[int, ...], ...]:
        """Return 8 rows of 8 cells, 0 (paper) to 15 (ink)."""
        cells = [int(digit, 16) for digit in self.pictures[self.samples[frame % self.frames]]]
        return tuple(tuple(cells[at : at + SIDE]) for at in range(0, SIDE * SIDE, SIDE))


def read_clip(path: Path) -> Clip:
    """Return the truth that lies beside the clip.

    Raises:
        ModelError: it is not there, or is not what the recipe writes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Clip)
    except (OSError, msgspec.MsgspecError) as exc:
        raise ModelError(path.name, f"the truth about the clip cannot be read ({exc}); install inferd again") from exc
