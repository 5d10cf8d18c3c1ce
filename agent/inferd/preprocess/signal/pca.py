"""Principal components of what was computed of a signal. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inferd.errors import ModelError
from inferd.records import Array
from inferd.wire.manifest import PcaSection


def projection(section: PcaSection) -> Callable[[Array], Array] | None:
    """Return what turns features (n,) into components (k,); None where nothing is said of it.

    Raises:
        ModelError: the lists do not fit each other.
    """
    if section.components is None:
        if section.mean is not None or section.std is not None:
            raise ModelError("pca", "says mean or std, but no components; say all of them, or none")
        return None
    sizes = {len(row) for row in section.components}
    if len(sizes) != 1 or 0 in sizes:
        raise ModelError("pca.components", f"has rows of {sorted(sizes)} numbers; each has one number per feature")
    size = sizes.pop()
    mean = _row("mean", section.mean, size, 0.0)
    std = _row("std", section.std, size, 1.0)
    if not std.all():
        raise ModelError("pca.std", "holds a 0, but features are divided by it; 1 leaves one as it is")
    components = np.array(section.components, np.float64)

    def project(features: Array) -> Array:
        if features.shape != (size,):
            raise ModelError("pca", f"is made for {size} features, but {features.size} were computed")
        projected: Array = components @ ((features - mean) / std)
        return projected

    return project


def _row(name: str, said: tuple[float, ...] | None, size: int, otherwise: float) -> Array:
    if said is None:
        return np.full(size, otherwise)
    if len(said) != size:
        raise ModelError(f"pca.{name}", f"has {len(said)} numbers, but a component has {size}")
    return np.array(said, np.float64)
