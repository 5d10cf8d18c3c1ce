"""The Edge TPU of Google's Coral devices. Not proven on hardware: no Edge TPU was at hand."""

from __future__ import annotations

import ctypes
from functools import partial
from importlib import import_module

from inferd.accelerators.accelerator import (
    Accelerator,
    Dependency,
    LibraryPair,
    ListedDevice,
    Lookalike,
    RecoveryStep,
)
from inferd.accelerators.usb_recovery import cut_port_power, reset

LIBRARY = "libedgetpu.so.1"
BUSES = ("pci", "usb")  # enum edgetpu_device_type in edgetpu_c.h
USB_READY, USB_BARE = "18d1:9302", "1a6e:089a"  # Google, with firmware; Global Unichip, after power-up
STICK = "Coral stick"

GOOGLES = "COMPILER=6.3.0 20170516"  # the compiler of Google's own release 16.0
# `edgetpu_version()` shows only the compiler and "RuntimeVersion(14)", the same for all of these builds.
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
    _fields_ = (("bus", ctypes.c_int), ("path", ctypes.c_char_p))


def version(library: str) -> str:
    """Return what the library says of its build, such as "BuildLabel(COMPILER=...), RuntimeVersion(14)".

    Raises:
        OSError: the library cannot be loaded.
        AttributeError: it is another library.
    """
    read = ctypes.CDLL(library).edgetpu_version
    read.restype = ctypes.c_char_p
    return (read() or b"").decode(errors="replace")


def list_devices(library: str) -> tuple[ListedDevice, ...]:
    """Return the Edge TPUs, listed by Google's pycoral if that is installed, else by the library itself.

    Raises:
        OSError: the library cannot be loaded.
        AttributeError: it is another library.
    """
    return _list_by_pycoral() or _list_by_library(library)


def _list_by_library(library: str) -> tuple[ListedDevice, ...]:
    loaded = ctypes.CDLL(library)
    list_raw, free = loaded.edgetpu_list_devices, loaded.edgetpu_free_devices
    list_raw.restype, list_raw.argtypes = ctypes.POINTER(_RawDevice), [ctypes.POINTER(ctypes.c_size_t)]
    free.restype, free.argtypes = None, [ctypes.POINTER(_RawDevice)]
    count = ctypes.c_size_t()
    listed = list_raw(ctypes.byref(count))
    devices = tuple(_device(listed[index]) for index in range(count.value))
    if listed:
        free(listed)
    return devices


def _device(raw: _RawDevice) -> ListedDevice:
    bus = BUSES[raw.bus] if 0 <= raw.bus < len(BUSES) else str(raw.bus)
    return ListedDevice(bus, (raw.path or b"").decode(errors="replace"))


def _list_by_pycoral() -> tuple[ListedDevice, ...]:
    """List by Google's pycoral; the package of that name on PyPI is about coral reefs and has no such module."""
    try:
        listed = import_module("pycoral.utils.edgetpu").list_edge_tpus()
    except (ImportError, OSError, AttributeError):
        return ()
    return tuple(ListedDevice(str(one["type"]), str(one["path"])) for one in listed)


EDGETPU = Accelerator(
    name="edgetpu",
    title="Edge TPU",
    custom_op="edgetpu-custom-op",
    compiler="edgetpu_compiler",
    library=LIBRARY,
    package="libedgetpu1-std",
    install_hint="install it (docs/accelerators.md says from where), or use the model's CPU version",
    needs=(Dependency("libusb-1.0.so.0", "libusb-1.0-0"),),
    version=version,
    list_devices=list_devices,
    device_option=r"(usb|pci)(:\d+)?|:\d+",
    device_examples=("usb", "usb:0", "pci", "pci:0", ":1"),
    usb_ready=USB_READY,
    usb_bare=USB_BARE,
    pci_id="1ac1:089a",
    device_node="apex_",
    driver_install="sudo apt-get install gasket-dkms && sudo modprobe apex",
    udev_rules="70-inferd-coral.rules",
    pairs=PAIRS,
    lookalike=Lookalike(
        "pycoral", "pycoral/utils/edgetpu.py", "is not Google's library, but a tool of that name for coral reefs"
    ),
    recovery=(
        RecoveryStep("reopen"),
        RecoveryStep("reopen"),
        RecoveryStep("usb_reset", partial(reset, (USB_READY, USB_BARE), STICK)),
        RecoveryStep("port_power", partial(cut_port_power, (USB_READY, USB_BARE), STICK)),
        RecoveryStep("alert"),
    ),
)
