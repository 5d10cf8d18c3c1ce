"""TensorFlow Lite models by the Interpreter of ai-edge-litert or tflite-runtime.

The file is mapped, not read: the caller must ensure that it is not overwritten (renaming over it is allowed). Standard
error is not redirected: the runtime's messages are in its exceptions, and descriptor 2 belongs to the whole process. One
line remains: XNNPACK announces itself once in each process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np

from inferd.config import settings
from inferd.errors import EngineError
from inferd.records import Array, EngineInfo
from inferd.runtime.delegated_operators import DELEGATE, PlanNode, count_delegated
from inferd.runtime.delegates import delegation, load_delegate
from inferd.runtime.error_text import CPU, invoke_refusal, loading
from inferd.runtime.library import PREFERRED, find_runtime
from inferd.runtime.model_file import open_model
from inferd.runtime.tensors import Lend, check_numbers, closed, lend, lender, quantized, spec_of
from inferd.system.clock import Clock

T = TypeVar("T")

NS_PER_MS = 1e6
# `reset_all_variables` and a second `allocate_tensors` keep the state of these operators (tested on both runtimes); only
# a new interpreter resets it.
STATEFUL = {"VAR_HANDLE", "CALL_ONCE"}
VIEW_ALIVE = "reference to internal data"  # part of the runtime's message if a view outlives its callback


class LiteRt:
    """A TensorFlow Lite model, on CPU or delegate. Made by a control thread, then owned by one loop thread."""

    info: EngineInfo
    _inputs: tuple[Lend, ...]
    _outputs: tuple[Lend, ...]
    _scalars: tuple[tuple[int, Array], ...]
    _invoke: Callable[[], None]
    _interpreter: Any  # the runtimes ship no types

    def __init__(self, path: str, options: settings.EngineConfig, clock: Clock, name: str) -> None:
        """Load the model, run it once on zeros and reset its state.

        Args:
            path: the file; "/proc/self/fd/N" is fine, and N may be closed afterwards.
            options: how many threads an inference uses, and which delegate.
            clock: times the load and the warm-up.
            name: the model's name, for errors.

        Raises:
            EngineError: the file, its operators, the runtime or the delegate do not allow it; one sentence says which.
        """
        self._name = name
        self._threads = options.threads
        self._delegation = delegation(name, options)
        self._delegates: list[Any] = []  # Any: the runtimes ship no types
        self._now_ns = clock.monotonic_ns
        self._file = open_model(name, path)  # kept open: `reset` may have to load it again, from the same file
        try:
            self.info = self._start()
        except BaseException:
            self.close()
            raise

    def write(self, into: Callable[[Sequence[Array]], T]) -> T:
        """Call `into` with writable views of all inputs, in the order of `info.inputs`, and return what it returns."""
        returned = lend(self._inputs, into)
        for index, scalar in self._scalars:
            self._interpreter.set_tensor(index, scalar)
        return returned

    def invoke(self) -> None:
        """Run the model once.

        Raises:
            EngineError: the runtime refused.
            RuntimeError: a callback kept a view; our own fault.
        """
        try:
            self._invoke()
        except (RuntimeError, ValueError) as exc:
            self._explain(exc)

    def read(self, decode: Callable[[Sequence[Array]], T]) -> T:
        """Call `decode` with views of all outputs, in the order of `info.outputs`, and return what it returns."""
        return lend(self._outputs, decode)

    def reset(self) -> None:
        """Reset the state; a model with resource variables is loaded again (0.7 ms for 80 kB).

        Raises:
            EngineError: it could not be loaded again.
        """
        if self._invoke is closed:
            closed()
        if self._reload_forgets:
            self._use(self._load())
        else:
            self._interpreter.reset_all_variables()

    def close(self) -> None:
        """Free the model. Idempotent."""
        self._inputs = self._outputs = (closed,)
        self._scalars = ()
        self._invoke = closed
        self._interpreter = None
        self._delegates = []  # after the interpreter, which uses it; this releases the accelerator
        self._file.close()

    def _start(self) -> EngineInfo:
        with loading(self._name, ""):
            self._runtime = find_runtime()
        began_ns = self._now_ns()
        if self._delegation is not None:
            self._delegates = [load_delegate(self._name, self._delegation, self._runtime)]
        interpreter = self._load()
        loaded_ns = self._now_ns()
        with loading(self._name, self._runtime.title):
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        check_numbers(self._name, (*inputs, *outputs))
        plan = plan_of(interpreter)
        self._reload_forgets = any(node.name in STATEFUL for node in plan)
        self._accelerator = self._what_runs_it(plan)
        self._use(interpreter)
        delegated = count_delegated(plan) if plan else None
        return EngineInfo(
            runtime=self._runtime.distribution,
            runtime_version=self._runtime.version,
            numpy_version=np.__version__,
            accelerator=self._accelerator,
            nodes=sum(node.name != DELEGATE for node in plan),
            nodes_delegated=delegated,
            threads=self._threads,
            load_ms=(loaded_ns - began_ns) / NS_PER_MS,
            warmup_ms=self._warm_up(),
            inputs=tuple(map(spec_of, inputs)),
            outputs=tuple(map(spec_of, outputs)),
            warning=self._warning(delegated),
        )

    def _load(self) -> Any:  # Any: the runtimes ship no types
        path = f"/proc/self/fd/{self._file.fileno()}"
        with loading(self._name, self._runtime.title, self._delegation.name if self._delegation else ""):
            interpreter = self._runtime.interpreter(
                model_path=path, num_threads=self._threads, experimental_delegates=self._delegates
            )
            interpreter.allocate_tensors()
        return interpreter

    def _use(self, interpreter: Any) -> None:  # Any: the runtimes ship no types
        """Use this interpreter from now on; the previous one is freed."""
        inputs = interpreter.get_input_details()
        # A scalar's view is a copy in both runtimes, so callbacks fill a () array of ours that is set afterwards.
        scalars = {tensor["index"]: np.zeros((), tensor["dtype"]) for tensor in inputs if len(tensor["shape"]) == 0}
        self._scalars = tuple(scalars.items())
        self._inputs = tuple(
            partial(scalars.__getitem__, tensor["index"]) if tensor["index"] in scalars else lender(interpreter, tensor)
            for tensor in inputs
        )
        self._outputs = tuple(lender(interpreter, tensor) for tensor in interpreter.get_output_details())
        self._invoke = interpreter.invoke
        self._interpreter = interpreter

    def _warm_up(self) -> float:
        """Run once on zeros and reset the state; return the duration of the run, milliseconds."""
        self.write(_clear)
        began_ns = self._now_ns()
        self.invoke()
        took_ms = (self._now_ns() - began_ns) / NS_PER_MS
        self.reset()
        return took_ms

    def _what_runs_it(self, plan: Sequence[PlanNode]) -> str:
        """Return "cpu", or what the delegate drives: an accelerator takes only operators that were compiled for it."""
        if self._delegation is None:
            return CPU
        known = self._delegation.accelerator
        not_compiled = known is not None and plan and all(node.name != known.custom_op for node in plan)
        return CPU if not_compiled else self._delegation.name

    def _warning(self, delegated: int | None) -> str:
        known = self._delegation.accelerator if self._delegation else None
        if known is not None and self._accelerator == CPU:
            return f"it holds no {known.title} operator and runs on the CPU; compile it with {known.compiler}"
        if delegated:
            return ""
        if self._delegation is not None and delegated == 0:
            return f"the delegate for {self._accelerator} takes none of its operators; all of it runs on the CPU"
        return self._slow_kernels() if delegated == 0 else ""

    def _slow_kernels(self) -> str:
        if not any(map(quantized, self._interpreter.get_tensor_details())):
            return ""
        fact = f"{self._runtime.title} delegates no operator of this quantised model, which may be slow"
        return fact if self._runtime.distribution == PREFERRED else f"{fact}; {PREFERRED} hands most of them to XNNPACK"

    def _explain(self, exc: Exception) -> NoReturn:
        if VIEW_ALIVE in str(exc):
            fault = "a callback kept a view of its tensors beyond write or read; copy what must outlive the callback"
            raise RuntimeError(f"{self._name}: {fault}") from exc
        raise EngineError(self._name, invoke_refusal(exc, self._runtime.title, self._accelerator)) from exc


def plan_of(interpreter: Any) -> tuple[PlanNode, ...]:  # Any: the runtimes ship no types
    """Return the execution plan, DELEGATE nodes last; () if this runtime does not show it."""
    native = interpreter._interpreter  # noqa: SLF001 - the public way costs five times as much (3 ms for MobileNet V2)
    try:
        return tuple(
            PlanNode(
                native.NodeName(index),
                tuple(native.NodeInputs(index).tolist()),
                tuple(native.NodeOutputs(index).tolist()),
            )
            for index in range(native.NumNodes())
        )
    except AttributeError:
        return ()


def _clear(views: Sequence[Array]) -> None:
    for view in views:
        view[...] = 0
