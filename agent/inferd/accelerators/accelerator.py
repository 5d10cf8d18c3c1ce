"""The description of one kind of accelerator: the same record answers the store, engines, control, doctor and installer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

StepName = Literal["reopen", "usb_reset", "port_power", "alert"]


class ListedDevice(NamedTuple):
    """A device as the accelerator's library lists it: its bus ("usb", "pci") and its path."""

    bus: str
    path: str


class LibraryPair(NamedTuple):
    """A build of the library and a runtime, and whether somebody reported that they work together.

    Attributes:
        build: the release of the library, for people.
        mark: text in the library's version that identifies the build; "" for any build that no other row identifies.
        runtime: the distribution.
        versions: beginnings of the versions that were reported.
        works: False if the pair ends the process.
        source: where it was reported.
    """

    build: str
    mark: str
    runtime: str
    versions: tuple[str, ...]
    works: bool
    source: str


class RecoveryStep(NamedTuple):
    """What to do before an attempt to reopen a failed accelerator.

    Attributes:
        name: as events name it.
        act: does it, in a child process, given a pause (seconds) and the root of /sys and /dev; returns what it did.
            None for an attempt without such a step.
    """

    name: StepName
    act: Callable[[Callable[[float], None], Path], str] | None = None


class Dependency(NamedTuple):
    """A shared library that the accelerator's library loads, and the Debian package that holds it."""

    library: str
    package: str


class Lookalike(NamedTuple):
    """A package on PyPI that is mistaken for the vendor's.

    Attributes:
        distribution: its name.
        vendor_file: a file that only the vendor's package has.
        fact: what the other package is, after name and version.
    """

    distribution: str
    vendor_file: str
    fact: str


PLAIN_LADDER = (RecoveryStep("reopen"), RecoveryStep("reopen"), RecoveryStep("alert"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One kind of accelerator that runs TensorFlow Lite models through a delegate. Constant; any thread may read it.

    Attributes:
        name: in `delegate`, topics and metrics: "edgetpu". Its compiled models are named "x_edgetpu.tflite".
        title: for people: "Edge TPU".
        custom_op: the operator that its compiler leaves in a model.
        compiler: the program that compiles a model for it.
        library: the delegate's shared library; `lib<name>.so` with any version suffix.
        package: the Debian package of the library.
        install_hint: how to get the library, after "...; ".
        needs: shared libraries that the library loads.
        device_option: what `delegate` may say to choose one device, as a regular expression; never what another
            accelerator takes.
        device_examples: values that `device_option` matches, for the error that lists them.
        usb_ready, usb_bare: USB ids with and without firmware ("18d1:9302"); "" where there is none.
        pci_id: vendor and device ("1ac1:089a"); "" where there is none.
        device_node: what the names of its PCIe device nodes begin with ("apex_"); its sysfs subsystem without "_".
        driver_install: the command that installs and loads the PCIe driver.
        udev_rules: the file of systemd/ that opens its device nodes to the service.
        pairs: builds of the library and runtimes that somebody reported on.
        lookalike: a package that is mistaken for the vendor's.
        recovery: steps before the attempts to reopen it, gentlest first, ending with "alert".
        version: loads a library and returns its version; OSError or AttributeError if it cannot. Call it in a child.
        list_devices: loads a library and lists its devices; raises as `version` does. Call it in a child.
    """

    name: str
    title: str
    custom_op: str
    compiler: str
    library: str
    package: str
    install_hint: str
    version: Callable[[str], str]
    list_devices: Callable[[str], Sequence[ListedDevice]]
    device_option: str = ""
    device_examples: tuple[str, ...] = ()
    needs: tuple[Dependency, ...] = ()
    usb_ready: str = ""
    usb_bare: str = ""
    pci_id: str = ""
    device_node: str = ""
    driver_install: str = ""
    udev_rules: str = ""
    pairs: tuple[LibraryPair, ...] = ()
    lookalike: Lookalike | None = None
    recovery: tuple[RecoveryStep, ...] = field(default=PLAIN_LADDER)

    @property
    def file_mark(self) -> str:
        """What the compiler adds to a model's name, before ".tflite"."""
        return f"_{self.name}"

    @property
    def usb_ids(self) -> tuple[str, ...]:
        """Its USB ids, those with firmware first."""
        return tuple(one for one in (self.usb_ready, self.usb_bare) if one)

    @property
    def library_name(self) -> str:
        """The library without its version: "libedgetpu"."""
        return self.library.partition(".")[0]

    @property
    def refusal(self) -> str:
        """Why a model compiled for it does not run on the CPU, after the model's name."""
        need = f"is compiled for the {self.title}, which needs {self.library_name} and that device"
        return f"{need}; without them, use the model that {self.compiler} was given"

    def delegate_options(self, delegate: str) -> Mapping[str, str] | None:
        """Return the library's options for a configured `delegate`; None if that does not name this accelerator."""
        if delegate == self.name:
            return {}
        if delegate and self.device_option and re.fullmatch(self.device_option, delegate):
            return {"device": delegate}
        return {} if "." in delegate and Path(delegate).name.partition(".")[0] == self.library_name else None

    def pair_works(self, library_version: str, runtime: str, runtime_version: str) -> bool | None:
        """Return whether a build of the library and a runtime are known to work together; None if nothing is known.

        Args:
            library_version: what `version` returned.
            runtime: the distribution, such as "ai-edge-litert".
            runtime_version: its version.
        """
        marked = [pair for pair in self.pairs if pair.mark and pair.mark in library_version]
        for pair in marked or [pair for pair in self.pairs if not pair.mark]:
            if pair.runtime == runtime and runtime_version.startswith(pair.versions):
                return pair.works
        return None

    def why_no_delegate(self, library: str, device: str) -> str:
        """Return why the library made no delegate, as far as its list of devices shows, and the remedy.

        Args:
            library: a path or name that the loader finds.
            device: the device that was asked for; "" for any.
        """
        try:
            devices = self.list_devices(library)
        except (OSError, AttributeError):
            return "and it cannot list devices either; install it again"
        if not devices:
            rules = f"udev rules ({self.udev_rules})" if self.udev_rules else "rights on its device node"
            return f"there is no {self.title}; plug it in, and check that this user may open it: {rules}"
        present = ", ".join(f"{one.bus} {one.path}" for one in devices)
        if device and not _lists(devices, device):
            return f"there is no {self.title} {device!r}, only {present}"
        return f"{present} is there, but does not answer or serves another process; an accelerator belongs to one at a time"


def _lists(devices: Sequence[ListedDevice], device: str) -> bool:
    """Return whether `device` ("usb", "usb:0", "pci:1", ":1") is one of these."""
    bus, _, number = device.partition(":")
    fitting = [one for one in devices if bus in ("", one.bus)]
    return len(fitting) > int(number or 0)
