"""ONNX models by onnxruntime. The only module that imports it, and only when a model is loaded.

The fork server does not import it: the import starts two threads (1.31.1), and a process with threads must not fork.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

from inferd.config import settings
from inferd.errors import EngineError
from inferd.records import Array, EngineInfo, TensorSpec
from inferd.runtime.error_text import CPU, quoted
from inferd.runtime.model_file import open_file
from inferd.runtime.tensors import Lend, closed, lend
from inferd.system.clock import Clock

T = TypeVar("T")

DISTRIBUTION = "onnxruntime"
CPU_PROVIDER = "CPUExecutionProvider"
PROVIDER_SUFFIX = "ExecutionProvider"
PREAMBLE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from \S+ failed:)?")
NS_PER_MS = 1e6
LOG_NOTHING = 4  # exceptions hold all messages
DTYPES = {
    "float": "float32",
    "float16": "float16",
    "double": "float64",
    "bool": "bool",
    "complex64": "complex64",
    "complex128": "complex128",
    **{name: name for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")},
}


class Onnx:
    """An ONNX model on any execution provider. Made by a control thread, then owned by one loop thread.

    Inputs, and outputs of a fixed shape, are arrays of ours that the runtime reads and fills in place (on the CPU; other
    providers copy them to their device and back). An output of an open shape is copied once an invoke.
    """

    info: EngineInfo
    _session: Any  # it ships no types for its native half
    _binding: Any  # as above
    _fed: list[Array]
    _made: list[Array]
    _lend_inputs: tuple[Lend, ...]
    _lend_outputs: tuple[Lend, ...]

    def __init__(self, path: str, options: settings.EngineConfig, clock: Clock, name: str) -> None:
        """Load the model, and run it once on zeros.

        Args:
            path: the file; "/proc/self/fd/N" is fine, and N may be closed afterwards.
            options: threads of an inference, execution providers and their options.
            clock: times the load and the warm-up.
            name: the model's name, for errors.

        Raises:
            EngineError: the file, its operators, the runtime or a provider do not allow it; one sentence says which.
        """
        self._name = name
        self._now_ns = clock.monotonic_ns
        self._ort = _import_runtime(name)
        self._faults = _errors_of_runtime()
        began_ns = self._now_ns()
        self._session = self._load(path, options)
        self._inputs = tuple(map(self._spec, self._session.get_inputs()))
        self._outputs = tuple(map(self._spec, self._session.get_outputs()))
        self._bind()
        self._unlent = self._references()  # here, where no local of `_bind` counts any more
        loaded_ns = self._now_ns()
        self.invoke()
        warmed_ns = self._now_ns()
        self.info = self._describe(options, (loaded_ns - began_ns) / NS_PER_MS, (warmed_ns - loaded_ns) / NS_PER_MS)

    def write(self, into: Callable[[Sequence[Array]], T]) -> T:
        """Call `into` with writable views of all inputs, in the order of `info.inputs`, and return what it returns."""
        return lend(self._lend_inputs, into)

    def invoke(self) -> None:
        """Run the model once.

        Raises:
            EngineError: the runtime refused.
            RuntimeError: a callback kept a view; our own fault.
        """
        if self._session is None:
            closed()
        if self._references() != self._unlent:
            fault = "a callback kept a view of its tensors beyond write or read; copy what must outlive the callback"
            raise RuntimeError(f"{self._name}: {fault}")
        try:
            self._session.run_with_iobinding(self._binding)
        except self._faults as exc:
            reason = f"{DISTRIBUTION} {self._ort.__version__} failed while running it ({_message(exc)})"
            raise EngineError(self._name, f"{reason}; use another version of the model") from exc
        self._collect()

    def read(self, decode: Callable[[Sequence[Array]], T]) -> T:
        """Call `decode` with views of all outputs, in the order of `info.outputs`, and return what it returns."""
        return lend(self._lend_outputs, decode)

    def reset(self) -> None:
        """Do nothing: an ONNX model remembers nothing between two runs."""

    def close(self) -> None:
        """Free the model. Idempotent."""
        self._lend_inputs = self._lend_outputs = (closed,)
        self._session = self._binding = None
        self._fed, self._made = [], []

    def _load(self, path: str, options: settings.EngineConfig) -> Any:  # Any: it ships no types for its native half
        open_file(self._name, path).close()
        self._require_providers(options.providers)
        providers = [(provider, dict(options.provider_options.get(provider, {}))) for provider in options.providers]
        try:
            return self._ort.InferenceSession(path, self._session_options(options.threads), providers=providers)
        except self._faults as exc:
            raise EngineError(self._name, self._load_refusal(exc)) from exc

    def _session_options(self, threads: int) -> Any:  # Any: see _load
        made = self._ort.SessionOptions()
        made.intra_op_num_threads, made.inter_op_num_threads = threads, 1
        made.log_severity_level = LOG_NOTHING
        # Spinning burns whole cores between two frames, for some microseconds a frame.
        made.add_session_config_entry("session.intra_op.allow_spinning", "0")
        made.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        return made

    def _require_providers(self, providers: Sequence[str]) -> None:
        available = self._ort.get_available_providers()
        for provider in providers:
            if provider not in available:
                fact = f"asks for {provider}, which this {DISTRIBUTION} {self._ort.__version__} does not have"
                remedy = "install the build of onnxruntime that has it, or name another under providers"
                raise EngineError(self._name, f"{fact} (it has {', '.join(available)}); {remedy}")

    def _load_refusal(self, exc: Exception) -> str:
        kind, runtime = type(exc).__name__, f"{DISTRIBUTION} {self._ort.__version__}"
        if kind in ("InvalidProtobuf", "NoModel"):
            return f"is not an ONNX model, or is damaged ({_message(exc)}); copy or download it again"
        if "external" in str(exc).lower():
            return f"keeps its weights in another file, which inferd does not follow ({_message(exc)}); save it as one file"
        return f"cannot be loaded by {runtime} ({_message(exc)}); convert it again, for an older opset if need be"

    def _spec(self, tensor: Any) -> TensorSpec:  # Any: see _load
        kind = str(tensor.type).removeprefix("tensor(").removesuffix(")")
        if kind not in DTYPES:
            fact = f"its tensor {tensor.name!r} holds {tensor.type}, and inferd feeds and reads arrays of numbers"
            raise EngineError(self._name, f"{fact}; convert the model without it")
        signature = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in tensor.shape or ())
        return TensorSpec(tensor.name, tuple(abs(size) for size in signature), DTYPES[kind], signature)

    def _bind(self) -> None:
        """Bind an array to each input and output; an open dimension of an input is 1."""
        self._binding = self._session.io_binding()
        self._fed = [np.zeros(spec.shape, spec.dtype) for spec in self._inputs]
        self._made = [np.zeros(spec.shape, spec.dtype) for spec in self._outputs]
        for spec, array in zip(self._inputs, self._fed, strict=True):
            self._binding.bind_cpu_input(spec.name, array)
        for spec, array in zip(self._outputs, self._made, strict=True):
            if _is_open(spec):
                self._binding.bind_output(spec.name)
            else:
                self._binding.bind_output(spec.name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        self._lend_inputs = tuple(array.view for array in self._fed)
        self._lend_outputs = tuple(partial(self._view, index) for index in range(len(self._made)))

    def _view(self, index: int) -> Array:
        return self._made[index].view()

    def _collect(self) -> None:
        """Copy the outputs of open shapes, which the runtime allocates itself."""
        if any(map(_is_open, self._outputs)):
            made = self._binding.get_outputs()
            for index, spec in enumerate(self._outputs):
                if _is_open(spec):
                    self._made[index] = made[index].numpy()
            self._unlent = self._references()

    def _references(self) -> tuple[int, ...]:
        """Count references to the tensors' memory: each view and slice adds one."""
        return tuple(sys.getrefcount(array) for array in (*self._fed, *self._made))

    def _describe(self, options: settings.EngineConfig, load_ms: float, warmup_ms: float) -> EngineInfo:
        nodes, delegated = self._assigned()
        used = self._session.get_providers()
        unused = [provider for provider in options.providers if provider not in used]
        accelerator = _accelerator(used[0]) if delegated is None or delegated else CPU
        return EngineInfo(
            runtime=DISTRIBUTION,
            runtime_version=self._ort.__version__,
            numpy_version=np.__version__,
            accelerator=accelerator,
            nodes=nodes,
            nodes_delegated=delegated,
            threads=options.threads,
            load_ms=load_ms,
            warmup_ms=warmup_ms,
            inputs=self._inputs,
            outputs=tuple(map(_as_made, self._outputs, self._made)),
            warning=_warning(unused, options.providers, accelerator),
        )

    def _assigned(self) -> tuple[int, int | None]:
        """Return the number of nodes, and how many a provider other than the CPU's runs; None if that is not reported."""
        try:
            parts = self._session.get_provider_graph_assignment_info()
        except self._faults:  # older versions and some providers do not report it
            return 0, 0 if self._session.get_providers() == [CPU_PROVIDER] else None
        counts = [(part.ep_name, len(part.get_nodes())) for part in parts]
        return sum(count for _, count in counts), sum(count for name, count in counts if name != CPU_PROVIDER)


def _import_runtime(name: str) -> Any:  # Any: it ships no types
    try:
        return import_module("onnxruntime")
    except (ImportError, OSError) as exc:
        fact = f"is an ONNX model, and onnxruntime cannot be imported ({quoted(exc)})"
        raise EngineError(name, f"{fact}; run `pip install onnxruntime`") from exc


def _errors_of_runtime() -> tuple[type[Exception], ...]:
    """Return the runtime's exceptions; they have no common base class but Exception."""
    native = vars(import_module("onnxruntime.capi.onnxruntime_pybind11_state")).values()
    return (
        RuntimeError,
        ValueError,
        *(kind for kind in native if isinstance(kind, type) and issubclass(kind, Exception)),
    )


def _message(exc: Exception) -> str:
    """Return the runtime's message without its preamble."""
    return quoted(RuntimeError(PREAMBLE.sub("", str(exc))))


def _is_open(spec: TensorSpec) -> bool:
    return -1 in spec.shape_signature


def _as_made(spec: TensorSpec, made: Array) -> TensorSpec:
    return TensorSpec(spec.name, made.shape, spec.dtype, spec.shape_signature)


def _accelerator(provider: str) -> str:
    """Return "cuda" for "CUDAExecutionProvider", "cpu" for the CPU's."""
    return provider.removesuffix(PROVIDER_SUFFIX).lower()


def _warning(unused: Sequence[str], asked: Sequence[str], accelerator: str) -> str:
    if unused:
        return f"{', '.join(unused)} is configured and does not start here; {accelerator} runs the model"
    if accelerator == CPU and asked[0] != CPU_PROVIDER:
        return f"{asked[0]} takes none of its operators; all of it runs on the CPU"
    return ""
