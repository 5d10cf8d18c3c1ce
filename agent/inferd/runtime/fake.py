"""An engine without a model: returns configured answers in a configured time, and fails on demand.

Its "model" is a TOML file of the keys of `settings.FakeEngine`, so that fakes can be dropped, vetted and swapped;
without one its options apply.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
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
    """Returns the same scores for every frame. Made by a control thread, then owned by one loop thread."""

    info: EngineInfo

    def __init__(self, path: str, options: settings.EngineConfig, clock: Clock, name: str) -> None:
        """Load in `load_ms`, or crash.

        Args:
            path: a TOML file that replaces `options.fake`, if it exists.
            options: `options.fake` sets the answers and faults.
            clock: for pauses.
            name: the model's name, for errors.

        Raises:
            EngineError: the file is not a fake model.
        """
        self._name = name
        self._fake = read_fake(path, options, name)
        self._clock = clock
        self._invokes = 0
        self._ballast = bytearray(self._fake.memory_mb << 20)
        self._leaked: list[bytes] = []
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
        """Write the scores to the output after `invoke_ms`, or fail as configured.

        Raises:
            EngineError: this invoke is configured to fail.
            RuntimeError: a callback kept a view; our own fault.
        """
        if self._inputs == (closed,):
            closed()
        if self._references() != self._unlent:
            raise RuntimeError(f"{self._name}: a callback kept a view of its tensors beyond write or read")
        self._invokes += 1
        self._misbehave()
        slow = 0 < self._fake.slow_from <= self._invokes
        self._clock.pause((self._fake.slow_ms if slow else self._fake.invoke_ms) * S_PER_MS)
        self._memory[1][...] = np.nan if 0 < self._fake.nan_from <= self._invokes else self._fake.scores

    def read(self, decode: Callable[[Sequence[Array]], T]) -> T:
        """Call `decode` with a view of the one output, (1, n) float32 scores, and return what it returns."""
        return lend(self._outputs, decode)

    def reset(self) -> None:
        """Do nothing: there is no state. Invokes are still counted from the start."""

    def close(self) -> None:
        """Refuse all further calls, or crash as configured. Idempotent."""
        if self._fake.crash_at_close:
            signal.raise_signal(signal.SIGABRT)
        self._inputs = self._outputs = (closed,)

    def _misbehave(self) -> None:
        if self._invokes == self._fake.fail_at or 0 < self._fake.fail_from <= self._invokes:
            raise EngineError(self._name, f"fails at invoke {self._invokes}, as configured; set fail_at to 0")
        if self._invokes == self._fake.crash_at:
            _crash()
        if 0 < self._fake.leak_from <= self._invokes:
            self._leaked.append(b"\xff" * (self._fake.leak_mb << 20))  # zero pages would not be allocated
        while self._invokes == self._fake.hang_at:
            self._clock.pause(HANG_S)

    def _references(self) -> tuple[int, ...]:
        """Count references to the tensors' memory: each view and slice adds one."""
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
            warmup_ms=self._fake.invoke_ms,  # configured, so no run is needed
            inputs=(TensorSpec("input", self._fake.input_shape, "uint8", self._fake.input_shape),),
            outputs=(TensorSpec("scores", self._memory[1].shape, "float32", self._memory[1].shape),),
        )


def read_fake(path: str, options: settings.EngineConfig, name: str) -> settings.FakeEngine:
    """Return the configuration of the fake at `path`, or that in `options` if there is no such file.

    Raises:
        EngineError: the file is not a fake model.
    """
    try:
        return msgspec.toml.decode(Path(path).read_bytes(), type=settings.FakeEngine)
    except (FileNotFoundError, IsADirectoryError):
        return options.fake
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise EngineError(name, f"is not a fake model ({exc}); write keys of [pipeline.engine.fake]") from exc


def _crash() -> None:
    """Crash as native code does. The signal goes to this thread, so nothing runs after it."""
    signal.raise_signal(signal.SIGSEGV)
