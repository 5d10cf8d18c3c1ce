"""What libedgetpu tells of Edge TPUs, and with which runtimes it is known to work.

Asking loads the library into this process, so it is done in children. Nothing here opens a device.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

LIBRARY = "libedgetpu.so.1"
INSTALL = "install it (docs/accelerators.md says from where), or use the model's CPU twin"
KINDS = ("pci", "usb")  # enum edgetpu_device_type in edgetpu_c.h


class EdgeTpuDevice(NamedTuple):
    """An Edge TPU as the library names it: "usb" or "pci", and its path."""

    kind: str
    path: str


class LibraryPair(NamedTuple):
    """A build of libedgetpu and a runtime: whether they were told to work together, and where that was told.

    Attributes:
        build: the library's release; `edgetpu_version()` shows only its compiler and the number 14 for all of these.
        mark: what its `edgetpu_version()` holds.
        runtime: the distribution.
        versions: those that it was told of.
        works: whether they work; the others end the process.
        source: who says so. None of this was tried here: there is no Edge TPU in our tests.
    """

    build: str
    mark: str
    runtime: str
    versions: tuple[str, ...]
    works: bool
    source: str


GOOGLES = "COMPILER=6.3.0 20170516"  # the compiler of Google's own release 16.0
PAIRS = (
    LibraryPair("Google 16.0", GOOGLES, "tflite-runtime", ("2.5.",), works=True, source="google-coral/edgetpu#660"),
    LibraryPair("Google 16.0", GOOGLES, "tflite-runtime", ("2.11.0",), works=False, source="google-coral/edgetpu#731"),
    LibraryPair("Google 16.0", GOOGLES, "tflite-runtime", ("2.11.1",), works=True, source="google-coral/edgetpu#812"),
    LibraryPair(
        "Google 16.0",
        GOOGLES,
        "tflite-runtime",
        ("2.12.", "2.13.", "2.14.", "2.15."),
        works=False,
        source="google-coral/edgetpu#812",
    ),
    LibraryPair(
        "feranick, for TensorFlow 2.13.1",
        "",
        "tflite-runtime",
        ("2.13.", "2.14.", "2.15."),
        works=True,
        source="google-coral/edgetpu#812",
    ),
    LibraryPair(
        "feranick, for TensorFlow 2.19.1", "", "ai-edge-litert", ("",), works=True, source="google-ai-edge/LiteRT#3611"
    ),
)


class _RawDevice(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int), ("path", ctypes.c_char_p))


def list_devices(library: str = LIBRARY) -> tuple[EdgeTpuDevice, ...]:
    """Return the Edge TPUs there are, by Google's pycoral where that is installed, else by the library itself.

    Raises:
        OSError: the library cannot be loaded.
        AttributeError: it is another library.
    """
    return _by_pycoral() or _by_library(library)


def version(library: str = LIBRARY) -> str:
    """Return what the library says of its build, such as "BuildLabel(COMPILER=...), RuntimeVersion(14)".

    Raises:
        OSError: the library cannot be loaded.
        AttributeError: it is another library.
    """
    ask = ctypes.CDLL(library).edgetpu_version
    ask.restype = ctypes.c_char_p
    return (ask() or b"").decode(errors="replace")


def judge_pair(built: str, runtime: str, runtime_version: str) -> bool | None:
    """Return whether a build of the library and a runtime are known to work together; None where nobody said.

    Args:
        built: the library's `version`.
        runtime: the distribution, such as "ai-edge-litert".
        runtime_version: its version.
    """
    own = [pair for pair in PAIRS if pair.mark and pair.mark in built]
    told = own or [pair for pair in PAIRS if not pair.mark]  # a build that is not Google's is somebody's newer one
    for pair in told:
        if pair.runtime == runtime and any(runtime_version.startswith(known) for known in pair.versions):
            return pair.works
    return None


def why_refused(library: str, device: str) -> str:
    """Return why the library made no delegate, as far as its list of devices tells, and what mends it."""
    try:
        devices = _by_library(library)
    except (OSError, AttributeError):
        return "and it cannot list devices either; install it again"
    if not devices:
        return "there is no Edge TPU; plug it in, and see that this user may open it (libedgetpu's udev rules, plugdev)"
    there = ", ".join(f"{one.kind} {one.path}" for one in devices)
    if device and not _covers(devices, device):
        return f"there is no Edge TPU {device!r}, only {there}"
    return f"{there} is there, but does not answer or serves another process; an Edge TPU belongs to one at a time"


def _covers(devices: Sequence[EdgeTpuDevice], device: str) -> bool:
    """Whether `device` ("usb", "usb:0", "pci:1", ":1") names one of these."""
    kind, _, number = device.partition(":")
    fitting = [one for one in devices if kind in ("", one.kind)]
    return len(fitting) > int(number or 0)


def _by_library(library: str) -> tuple[EdgeTpuDevice, ...]:
    loaded = ctypes.CDLL(library)
    ask, release = loaded.edgetpu_list_devices, loaded.edgetpu_free_devices
    ask.restype, ask.argtypes = ctypes.POINTER(_RawDevice), [ctypes.POINTER(ctypes.c_size_t)]
    release.restype, release.argtypes = None, [ctypes.POINTER(_RawDevice)]
    count = ctypes.c_size_t()
    listed = ask(ctypes.byref(count))
    devices = tuple(_device(listed[index]) for index in range(count.value))
    if listed:
        release(listed)
    return devices


def _device(raw: _RawDevice) -> EdgeTpuDevice:
    kind = KINDS[raw.kind] if 0 <= raw.kind < len(KINDS) else str(raw.kind)
    return EdgeTpuDevice(kind, (raw.path or b"").decode(errors="replace"))


def _by_pycoral() -> tuple[EdgeTpuDevice, ...]:
    """Ask Google's pycoral; the package of that name on PyPI is about coral reefs and has no such module."""
    try:
        ask = import_module("pycoral.utils.edgetpu").list_edge_tpus
    except (ImportError, OSError, AttributeError):
        return ()
    return tuple(EdgeTpuDevice(str(one["type"]), str(one["path"])) for one in ask())
