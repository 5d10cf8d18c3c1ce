"""Hands what one pipeline found to the pipelines that look closer. In the worker; shared by its threads."""

from __future__ import annotations

from inferd.parts import Source
from inferd.pipeline import Counters
from inferd.records import Frame, Result
from inferd.sources.crops import Crops
from inferd.system.threads import Lock


class Exchange:
    """Knows which sources follow which pipeline."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._followers: dict[str, list[tuple[Crops, Counters]]] = {}

    def join(self, source: Source, counters: Counters) -> None:
        """Take a source that was opened; one that follows no pipeline is left alone."""
        if isinstance(source, Crops):
            with self._lock:
                self._followers.setdefault(source.of, []).append((source, counters))

    def give(self, pipeline: str, frame: Frame, result: Result) -> None:
        """Hand on what a pipeline found in a frame; where nobody follows it, that costs one look."""
        for source, counters in self._open(pipeline) if pipeline in self._followers and result.boxes else ():
            for _ in range(source.give(frame, result.boxes or ())):
                counters.dropped("superseded")

    def end(self, pipeline: str) -> None:
        """Take it that a pipeline's input is through."""
        for source, _ in self._open(pipeline):
            source.end()

    def _open(self, pipeline: str) -> list[tuple[Crops, Counters]]:
        with self._lock:
            left = [one for one in self._followers.get(pipeline, ()) if not one[0].closed]
            if left:
                self._followers[pipeline] = left
            else:
                self._followers.pop(pipeline, None)
            return left
