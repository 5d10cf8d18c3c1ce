"""Checks accelerators: device, driver, library, rights. Tested with fixture trees and fake libraries, on no hardware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from inferd.accelerators.accelerator import Accelerator
from inferd.accelerators.devices import USB3_MBPS, AcceleratorDevice, find_devices
from inferd.accelerators.table import ACCELERATORS
from inferd.doctor.check import Check, Problem
from inferd.doctor.checks.pipeline_models import pipelines_with_models
from inferd.doctor.readers.hardware import Holder, has_usb3, holders, may_use
from inferd.doctor.readers.requirements import accelerator_of
from inferd.doctor.readers.run_probe_child import ProbeStep, ProbeSteps, ask
from inferd.doctor.readers.shared_libraries import Library, find_library
from inferd.doctor.readers.world import USER, World, group_name
from inferd.install.layout import source_dir
from inferd.records import Unavailable

DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}


@dataclass(frozen=True, slots=True)
class AcceleratorFacts:
    """What is known of one kind of accelerator without loading native code.

    Attributes:
        accelerator: which kind.
        wanted: pipelines that are to run on one.
        devices: those the kernel sees.
        library: its library; None if there is none.
        architecture: of our own Python.
        usb3: whether this machine has a USB 3 port.
        user: for whom rights are judged.
        closed: device nodes that this user may not use, and the group that may.
        held: device nodes that processes other than ours have open.
    """

    accelerator: Accelerator
    wanted: tuple[str, ...]
    devices: tuple[AcceleratorDevice, ...]
    library: Library | None
    architecture: str
    usb3: bool
    user: str
    closed: dict[str, str] = field(default_factory=dict)
    held: dict[str, Holder] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What people call it."""
        return self.accelerator.title

    @property
    def loadable(self) -> bool:
        """Whether the library was built for this machine."""
        return self.library is not None and self.library.architecture == self.architecture

    @property
    def install_library(self) -> str:
        """The command that installs the library."""
        architecture = DEBIAN_ARCHITECTURES.get(self.architecture, self.architecture)
        package = f"{self.accelerator.package}:{architecture}"
        return f"sudo apt-get install {package}  # its repository: docs/accelerators.md"


Facts = tuple[AcceleratorFacts, ...]
Probes = Mapping[str, ProbeSteps]
"""What the probe child did, by the name of the accelerator; nothing for one without a loadable library."""


def read_accelerators(world: World) -> Facts:
    """Look for devices, device nodes, libraries and rights of every kind of accelerator."""
    return tuple(_read(world, one) for one in ACCELERATORS)


def _read(world: World, accelerator: Accelerator) -> AcceleratorFacts:
    devices = find_devices(accelerator, world.root)
    nodes = [one.node for one in devices if one.node and world.at(one.node).exists()]
    others = {node: [one for one in holders(world, node) if not one.ours] for node in nodes}
    return AcceleratorFacts(
        accelerator=accelerator,
        wanted=tuple(one.name for one in pipelines_with_models(world) if accelerator_of(one) is accelerator),
        devices=devices,
        library=find_library(world, accelerator.library),
        architecture=world.python.architecture,
        usb3=has_usb3(world),
        user=world.user.name,
        closed={
            node: group_name(world.root, world.at(node).stat().st_gid)
            for node in nodes
            if not may_use(world.at(node), world.user)
        },
        held={node: found[0] for node, found in others.items() if found},
    )


def read_libraries(world: World) -> Probes | Unavailable:
    """Load each library in a child and have it list its devices."""
    probes = {}
    for accelerator in ACCELERATORS:
        library = find_library(world, accelerator.library)
        if library is not None and library.architecture == world.python.architecture:
            asked = ask(world, accelerator.name, str(world.at(library.path)))
            if isinstance(asked, Unavailable):
                return asked
            probes[accelerator.name] = asked
    return probes


def judge_missing_library(facts: Facts) -> Iterator[Problem]:
    """Yield a fault for a device without a library."""
    for one in facts:
        if one.devices and one.library is None:
            what = f"the {one.title} is there, but no {one.accelerator.library}"
            yield Problem(what, one.devices[0].port, one.install_library)


def judge_architecture(facts: Facts) -> Iterator[Problem]:
    """Yield a fault for a library that was built for another machine than our Python."""
    for one in facts:
        library = one.library
        if library and not one.loadable and (one.devices or one.wanted):
            built = f"is built for {library.architecture}" if library.architecture else "is not a library"
            what = f"{one.accelerator.library} {built}, but this Python is {one.architecture}"
            yield Problem(what, library.path, one.install_library)


def judge_dependencies(facts: Facts, probes: Probes) -> Iterator[Problem]:
    """Yield a fault for a library that cannot be loaded because a library that it needs is missing."""
    for one, step in _failures(facts, probes):
        for needed in one.accelerator.needs:
            if one.library and _stem(needed.library) in step.why:
                what = f"{one.accelerator.library} needs {needed.library}, which is not installed"
                yield Problem(what, one.library.path, f"sudo apt-get install {needed.package}")


def judge_library(facts: Facts, probes: Probes) -> Iterator[Problem]:
    """Yield a fault for a library that cannot be loaded or used for another reason."""
    for one, step in _failures(facts, probes):
        if one.library and not any(_stem(needed.library) in step.why for needed in one.accelerator.needs):
            remedy = f"sudo apt-get install --reinstall {one.accelerator.package}  # {one.library.path}"
            yield Problem(f"{one.accelerator.library} cannot be used ({step.reason})", one.library.path, remedy)


def judge_device(facts: Facts) -> Iterator[Problem]:
    """Yield a fault if a pipeline wants a device, or its library is installed, but there is no device."""
    for one in facts:
        if one.devices:
            continue
        find = [f"lsusb -d {usb}" for usb in one.accelerator.usb_ids]
        find += [f"lspci -d {one.accelerator.pci_id}"] if one.accelerator.pci_id else []
        remedy = f"plug the {one.title} in, then: {' || '.join(find)}"
        if one.wanted:
            yield Problem(f"there is no {one.title} for pipeline {', '.join(one.wanted)}", "USB and PCIe", remedy)
        elif one.loadable and one.library:
            what = f"{one.accelerator.library} is installed, but there is no {one.title}"
            yield Problem(what, one.library.path, remedy, "warning")


def judge_driver(facts: Facts) -> Iterator[Problem]:
    """Yield a fault for a PCIe device without a device node."""
    for one in facts:
        for device in one.devices:
            if device.bus == "pci" and not device.node:
                node = f"/dev/{one.accelerator.device_node}0"
                what = f"a PCIe {one.title} has no {node}: its driver is not loaded"
                yield Problem(what, device.port, one.accelerator.driver_install)


def judge_firmware(facts: Facts, probes: Probes) -> Iterator[Problem]:
    """Yield a note for a USB device that waits for its firmware."""
    failed = {one.accelerator.name for one, _ in _failures(facts, probes)}
    for one in facts:
        bare = one.accelerator.usb_bare
        for device in one.devices:
            if not device.ready:
                usable = one.loadable and one.accelerator.name not in failed
                what = f"the {one.title} shows as {bare}: its firmware is not loaded; the first inference loads it"
                remedy = f"run one inference; if it stays {bare}, unplug it and plug it in again"
                yield Problem(what, f"USB {device.port}", remedy, "note" if usable else "warning")


def judge_rights(facts: Facts) -> Iterator[Problem]:
    """Yield a fault for each device node that the user may not use."""
    for one in facts:
        for node, group in one.closed.items():
            remedy = _install_rules(one) if group == "root" else _join(group, one.user)
            yield Problem(f"user {one.user} may not use the {one.title}", node, remedy)


def judge_busy(facts: Facts) -> Iterator[Problem]:
    """Yield a fault for each device node that another program has open."""
    for one in facts:
        for node, holder in one.held.items():
            what = f"{holder.name} (process {holder.pid}) holds the {one.title}"
            yield Problem(what, node, f"kill {holder.pid}")


def judge_speed(facts: Facts) -> Iterator[Problem]:
    """Yield a warning for a USB device in a slow port of a machine that has fast ones."""
    for one in facts:
        for device in one.devices:
            if device.bus == "usb" and one.usb3 and 0 < device.speed_mbps < USB3_MBPS:
                what = f"the {one.title} runs at {device.speed_mbps} Mbit/s: a USB 2 port or cable"
                remedy = "plug it into a blue USB 3 port, with its own cable"
                yield Problem(what, f"USB {device.port}", remedy, "warning")


def _failures(facts: Facts, probes: Probes) -> Iterator[tuple[AcceleratorFacts, ProbeStep]]:
    """Yield the first step that failed for each accelerator."""
    for one in facts:
        steps = probes.get(one.accelerator.name, ProbeSteps({}))
        if failed := next((step for step in steps.taken.values() if step.failed), None):
            yield one, failed


def _stem(library: str) -> str:
    return library.partition("-")[0].partition(".")[0]


def _join(group: str, user: str) -> str:
    return f"sudo usermod --append --groups {group} {user}"


def _install_rules(facts: AcceleratorFacts) -> str:
    """Return the command that installs the udev rules; `inferd install` does it for the service."""
    if facts.user == USER:
        return "sudo inferd install"
    rules = source_dir() / facts.accelerator.udev_rules
    reload = "sudo udevadm control --reload && sudo udevadm trigger"
    return f"sudo cp {rules} /etc/udev/rules.d/ && {reload} && {_join('plugdev', facts.user)}"


CHECKS = (
    Check(
        "accelerator.library",
        "whether the library of each accelerator that is there is installed",
        "models for an accelerator run only through its library",
        judge_missing_library,
        (read_accelerators,),
    ),
    Check(
        "accelerator.architecture",
        "whether the library was built for this machine's Python",
        "a library for another processor cannot be loaded",
        judge_architecture,
        (read_accelerators,),
    ),
    Check(
        "accelerator.libusb",
        "whether the libraries that an accelerator's library needs are installed",
        "without them (libusb for libedgetpu) the library cannot be loaded",
        judge_dependencies,
        (read_accelerators, read_libraries),
    ),
    Check(
        "accelerator.broken",
        "whether the library can be loaded and lists devices, in a child process",
        "a library that fails or crashes ends the worker",
        judge_library,
        (read_accelerators, read_libraries),
    ),
    Check(
        "accelerator.device",
        "whether there is a device if a pipeline or an installed library needs one",
        "the pipeline falls back to the CPU version of its model, or waits",
        judge_device,
        (read_accelerators,),
    ),
    Check(
        "accelerator.driver",
        "whether a PCIe accelerator has its device node",
        "without the driver (apex for the Edge TPU) the library cannot reach the device",
        judge_driver,
        (read_accelerators,),
    ),
    Check(
        "accelerator.firmware",
        "whether a USB accelerator has its firmware (the Edge TPU: 18d1:9302) or still waits for it (1a6e:089a)",
        "the USB id changes when the firmware is loaded; a container that passes only one id through loses the device",
        judge_firmware,
        (read_accelerators, read_libraries),
    ),
    Check(
        "accelerator.permission",
        "whether the service's user may use the device node",
        "without the right to the device the library finds none",
        judge_rights,
        (read_accelerators,),
    ),
    Check(
        "accelerator.busy",
        "whether another program has the device open",
        "an accelerator belongs to one process at a time",
        judge_busy,
        (read_accelerators,),
    ),
    Check(
        "accelerator.usb2",
        "whether a USB accelerator runs at USB 3 speed if the machine has it",
        "weights and frames cross the cable: at a tenth of the speed every inference waits for it",
        judge_speed,
        (read_accelerators,),
    ),
)
