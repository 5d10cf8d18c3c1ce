"""An engine without a model: it answers what it was told to, in the time it was told to, and misbehaves on demand."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

import inferd
from inferd.config import settings
from inferd.errors import EngineError
from inferd.records import Array, EngineInfo, TensorSpec
from inferd.runtime.tensors import Lend, closed, lend
from inferd.system.clock import Clock

T = TypeVar("T")

S_PER_MS = 1e-3
HANG_S = 3600.0  # one pause of many; a hang has no end


class Fake:
    """Gives the same scores for every frame. Made by a control thread, then owned by one loop thread."""

    info: EngineInfo

    def __init__(self, path: str, options: settings.Engine, clock: Clock, name: str) -> None:  # noqa: ARG002 - it needs no file
        """Take `load_ms` and be ready, or die.

        Args:
            path: taken for the sake of the signature that engines share; nothing is opened.
            options: `options.fake` says what to answer and how to misbehave.
            clock: what pauses are taken from.
            name: the model's name, for what goes wrong.
        """
        self._name = name
        self._fake = options.fake
        self._clock = clock
        self._invokes = 0
        clock.pause(self._fake.load_ms * S_PER_MS)
        if self._fake.crash_at_load:
            _crash()
        self._memory = (np.zeros(self._fake.input_shape, np.uint8), np.zeros((1, len(self._fake.scores)), np.float32))
        self._inputs: tuple[Lend, ...] = (self._memory[0].view,)
        self._outputs: tuple[Lend, ...] = (self._memory[1].view,)
        self._unlent = self._references()
        self.info = self._describe(options.threads)

    def write(self, into: Callable[[Sequence[Array]], T]) -> T:
        """Call `into` with a writable view of the one input, uint8 of `input_shape`, and return what it returns."""
        return lend(self._inputs, into)

    def invoke(self) -> None:
        """Take `invoke_ms` and put the scores into the output, or misbehave.

        Raises:
            EngineError: this is the invoke that was to fail.
            RuntimeError: a callback kept a view; our own fault.
        """
        if self._inputs == (closed,):
            closed()
        if self._references() != self._unlent:
            raise RuntimeError(f"{self._name}: a callback kept a view of its tensors beyond write or read")
        self._invokes += 1
        self._misbehave()
        self._clock.pause(self._fake.invoke_ms * S_PER_MS)
        self._memory[1][...] = self._fake.scores

    def read(self, decode: Callable[[Sequence[Array]], T]) -> T:
        """Call `decode` with a view of the one output, (1, n) float32 scores, and return what it returns."""
        return lend(self._outputs, decode)

    def reset(self) -> None:
        """Do nothing: there is no memory of earlier frames. Invokes are still counted from the start."""

    def close(self) -> None:
        """Refuse everything from now on. Twice is fine."""
        self._inputs = self._outputs = (closed,)

    def _misbehave(self) -> None:
        if self._invokes == self._fake.fail_at:
            raise EngineError(self._name, f"fails at invoke {self._invokes}, as it was told to; set fail_at to 0")
        if self._invokes == self._fake.crash_at:
            _crash()
        while self._invokes == self._fake.hang_at:
            self._clock.pause(HANG_S)

    def _references(self) -> tuple[int, ...]:
        """Count who holds the tensors' memory: a view, and every slice of it, is one more."""
        return tuple(sys.getrefcount(array) for array in self._memory)

    def _describe(self, threads: int) -> EngineInfo:
        return EngineInfo(
            runtime="fake",
            runtime_version=inferd.__version__,
            numpy_version=np.__version__,
            accelerator="cpu",
            nodes=1,
            nodes_delegated=0,
            threads=threads,
            load_ms=self._fake.load_ms,
            warmup_ms=0.0,
            inputs=(TensorSpec("input", self._fake.input_shape, "uint8", self._fake.input_shape),),
            outputs=(TensorSpec("scores", self._memory[1].shape, "float32", self._memory[1].shape),),
        )


def _crash() -> None:
    """Die as native code does. The signal goes to this very thread, so nothing runs after it."""
    signal.raise_signal(signal.SIGSEGV)
