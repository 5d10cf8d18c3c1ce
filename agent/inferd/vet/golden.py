"""Samples with known answers, and what a model makes of inputs. Runs in the vet child, on arrays; decides nothing."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.plugins import Engine
from inferd.records import Array, EngineInfo, TensorSpec
from inferd.wire.manifest import ModelDescription

SAMPLES_MAX_BYTES = 256 << 20
OUTPUT = "output:"
LABEL = "label"
NPY = ".npy"
# All that zipfile, zlib and numpy raise on damaged or hostile archives; RecursionError is a RuntimeError.
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
)
STEPS = 3  # so many steps of a quantised output may lie between two runtimes or kernels
RELATIVE = 0.01  # and so much of the largest expected value in a float output
PROBE_SEED = 5


@dataclass(frozen=True, slots=True)
class Golden:
    """Samples with known answers.

    Attributes:
        inputs: by input name, each (n, ...) in the tensor's own dtype.
        outputs: expected, by output name, each (n, ...) in the tensor's own dtype; {} if there are none.
        labels: (n,) true classes as numbers of the labels; None if there are none.
        count: n.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    labels: Array | None
    count: int

    def sample(self, index: int, info: EngineInfo) -> list[Array]:
        """Return one sample's inputs in the order of the engine, each with its batch axis."""
        return [self.inputs[spec.name][index].reshape(spec.shape) for spec in info.inputs]


def read_golden(file: Path, info: EngineInfo, description: ModelDescription) -> Golden:
    """Read the samples that a manifest names.

    Raises:
        ModelError: they cannot be read, do not fit the model's tensors, or hold what means nothing here.
    """
    arrays = _arrays(file, _known_keys(info))
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise ModelError(file.name, "holds arrays of different lengths, or none; their first axis counts samples")
    inputs = {spec.name: _fitting(file, arrays, spec.name, spec) for spec in info.inputs}
    outputs = {
        spec.name: _fitting(file, arrays, f"{OUTPUT}{spec.name}", spec)
        for spec in info.outputs
        if f"{OUTPUT}{spec.name}" in arrays
    }
    labels = _classes(file, arrays[LABEL], description) if LABEL in arrays else None
    return Golden(inputs, outputs, labels, counts.pop())


def _known_keys(info: EngineInfo) -> set[str]:
    return {*(spec.name for spec in info.inputs), *(f"{OUTPUT}{spec.name}" for spec in info.outputs), LABEL}


def _arrays(file: Path, known: AbstractSet[str]) -> dict[str, Array]:
    """Return all arrays of an .npz; a member that is none, or of a name that means nothing here, is refused."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        stray = next((one.filename for one in members if one.filename.removesuffix(NPY) not in known), None)
        if stray is not None:
            raise ModelError(
                file.name, f"holds {stray[:80]!r}, which means nothing here; its keys are {', '.join(sorted(known))}"
            )
        if sum(one.file_size for one in members) > SAMPLES_MAX_BYTES:
            raise ModelError(file.name, f"is larger than {SAMPLES_MAX_BYTES >> 20} MiB; use fewer samples")
        with np.load(file, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except UNREADABLE as exc:
        raise ModelError(file.name, f"cannot be read as .npz ({exc}); write it with numpy.savez") from exc
    none = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
    if none is not None:
        raise ModelError(file.name, f"holds {none!r}, which is no array; write it with numpy.savez")
    return arrays


def _classes(file: Path, array: Array, description: ModelDescription) -> Array:
    """Return (n,) true classes as numbers of the labels, of an array (n,) or (n, 1)."""
    if array.size != len(array) or array.dtype.kind not in "iuf" or not np.array_equal(array, np.rint(array)):
        raise ModelError(
            file.name, f"{LABEL!r} is {array.dtype} {array.shape}; it takes one whole number for each sample, its class"
        )
    classes = array.reshape(-1).astype(np.int64)
    count = len(description.labels)
    if classes.min() < 0 or (count and classes.max() >= count):
        outside = classes.min() if classes.min() < 0 else classes.max()
        raise ModelError(file.name, f"{LABEL!r} names class {outside}, but the model has labels 0 to {count - 1}")
    return classes


def _fitting(file: Path, arrays: Mapping[str, Array], key: str, spec: TensorSpec) -> Array:
    """Return an array that fits a tensor, but for the batch axis."""
    if key not in arrays:
        raise ModelError(file.name, f"has no array {key!r}; it has {', '.join(sorted(arrays))}")
    array = arrays[key]
    if array[0].size != np.prod(spec.shape, dtype=np.int64) or array.dtype.name != spec.dtype:
        raise ModelError(
            file.name, f"{key!r} is {array.dtype} {array.shape[1:]}, the model's is {spec.dtype} {spec.shape}"
        )
    return array


def run(engine: Engine, inputs: Sequence[Array]) -> list[Array]:
    """Run a model once and return copies of its outputs.

    Raises:
        EngineError: the runtime refused.
    """

    def fill(views: Sequence[Array]) -> None:
        for view, given in zip(views, inputs, strict=True):
            view[...] = given

    engine.write(fill)
    engine.invoke()
    return engine.read(lambda views: [np.array(view) for view in views])


def probes(info: EngineInfo) -> Iterator[list[Array]]:
    """Yield inputs for a model of which no samples are known: zeros, a ramp, the upper end, and noise twice."""
    random = np.random.default_rng(PROBE_SEED)
    for kind in ("zeros", "ramp", "top", "noise", "noise"):
        yield [_probe(spec, kind, random) for spec in info.inputs]


def _probe(spec: TensorSpec, kind: str, random: np.random.Generator) -> Array:
    size = int(np.prod(spec.shape, dtype=np.int64))
    share = {
        "zeros": np.zeros(size),
        "ramp": np.linspace(0.0, 1.0, size),
        "top": np.ones(size),
        "noise": random.random(size),
    }[kind]
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        share = share * (int(limits.max) - int(limits.min)) + int(limits.min)
    return np.asarray(share).astype(dtype).reshape(spec.shape)


def finite(outputs: Sequence[Array]) -> bool:
    """Whether all numbers are."""
    return all(bool(np.isfinite(output).all()) for output in outputs if output.dtype.kind == "f")


def same(one: Sequence[Array], other: Sequence[Array]) -> bool:
    """Whether two runs gave the same numbers (NaN counts as itself)."""
    return all(
        a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(one, other, strict=True)
    )


def largest_excess(
    outputs: Sequence[Array], expected: Mapping[str, Array], index: int, info: EngineInfo, tolerance: float | None
) -> tuple[float, float]:
    """Return how far outputs lie from what sample `index` expects: the difference of real values, and what is allowed.

    Of several outputs, those of the one that is worst in proportion.
    """
    worst = (0.0, 1.0)
    for output, spec in zip(outputs, info.outputs, strict=True):
        if spec.name not in expected:
            continue
        wanted = dequantize(expected[spec.name][index].reshape(-1), spec)
        found = dequantize(output.reshape(-1), spec)
        difference = float(np.max(np.abs(found - wanted), initial=0.0))
        allowed = tolerance if tolerance is not None else _usual(wanted, spec)
        if difference / max(allowed, 1e-9) > worst[0] / max(worst[1], 1e-9):
            worst = (difference, allowed)
    return worst


def _usual(wanted: Array, spec: TensorSpec) -> float:
    if spec.quantized:
        return STEPS * spec.scale
    return RELATIVE * float(np.max(np.abs(wanted), initial=0.0)) + 1e-6
