"""A source that is open, as its source thread sees it: whatever goes wrong inside of it is a SourceError of this pipeline.

A source parses foreign bytes with libraries that raise more than they document. One pipeline then waits and is reopened;
the others must not notice.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from inferd.config import settings
from inferd.config.settings import kind_of
from inferd.errors import SourceError
from inferd.plugins import SOURCES, Source, find
from inferd.records import Array, Frame
from inferd.system.clock import Clock
from inferd.system.urls import shown_url

log = logging.getLogger(__name__)

PATHS = ("path", "device")
Adjust = Callable[[Array], Array]


class OpenedSource:
    """Owned by one source thread, which closes it."""

    def __init__(self, options: settings.Source, clock: Clock, adjust: Adjust | None = None) -> None:
        """Open the source that a `[pipeline.source]` table describes.

        Args:
            options: the table.
            clock: stamps the frames.
            adjust: turns and masks each picture.

        Raises:
            SourceError: it cannot be opened.
        """
        self._part = part_of(options)
        self._adjust = adjust
        make = find("source", SOURCES, kind_of(options))
        try:
            self.inner: Source = make(options, clock)
        except SourceError:
            raise
        except OSError as exc:  # a folder without permission, a name that is too long
            raise SourceError(self._part, f"cannot be opened ({exc.strerror or exc})") from exc
        except Exception as exc:
            raise self._unforeseen(exc) from exc
        self.live = self.inner.live

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame.

        Raises:
            SourceError: and its kinds, as `Source.read` says.
        """
        try:
            frame = self.inner.read(timeout_s)
            if self._adjust is not None and getattr(frame.data, "dtype", None) == "uint8":
                frame = replace(frame, data=self._adjust(frame.data))  # type: ignore[arg-type]  # an array has a dtype
        except SourceError:
            raise
        except OSError as exc:
            raise SourceError(self._part, f"cannot be read ({exc.strerror or type(exc).__name__})") from exc
        except Exception as exc:
            raise self._unforeseen(exc) from exc
        return frame

    def close(self) -> None:
        """Close it. What goes wrong is logged: the source is of no more use anyway."""
        try:
            self.inner.close()
        except Exception as exc:  # noqa: BLE001 - whatever a library raises, the source is given up
            log.warning("%s", self._unforeseen(exc))

    def _unforeseen(self, exc: Exception) -> SourceError:
        """Return an error that names where it was raised; not its text, which may quote a password."""
        if isinstance(exc, MemoryError):
            return SourceError(self._part, "needs more memory than there is; make its pictures or windows smaller")
        where = traceback.extract_tb(exc.__traceback__)[-1]
        told = f"{type(exc).__name__} in {Path(where.filename).name}, line {where.lineno}"
        return SourceError(self._part, f"cannot be read ({told}); please report this as a bug of inferd")


def part_of(options: settings.Source) -> str:
    """Return the name of a source for messages, without secrets."""
    if isinstance(options, settings.StreamSource):
        return shown_url(options.url)
    return next((found for key in PATHS if (found := str(getattr(options, key, "")))), kind_of(options))
