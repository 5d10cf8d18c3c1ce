"""Judges Edge TPUs: device, driver, library, rights. Proven with fixture trees and fake libraries, on no hardware."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inferd.doctor.check import Check, Problem
from inferd.doctor.readers.hardware import USB3_MBPS, Holder, Tpu, find_tpus, has_usb3, holders, may_use
from inferd.doctor.readers.probe_client import ProbeSteps, ask
from inferd.doctor.readers.requirements import needs_edgetpu
from inferd.doctor.readers.shared_libraries import Library, find_library
from inferd.doctor.readers.world import USER, World, group_name
from inferd.install.layout import source_dir
from inferd.records import Unavailable

LIBRARY = "libedgetpu.so.1"
RULES = "70-inferd-coral.rules"


@dataclass(frozen=True, slots=True)
class TpuFacts:
    """What is known of Edge TPUs without any native code.

    Attributes:
        wanted: pipelines that are to run on one.
        tpus: those the kernel sees.
        library: libedgetpu, where there is one.
        architecture: of our own Python.
        usb3: whether this machine has a port of USB 3.
        user: for whom rights are judged.
        closed: device files that this user may not use, and the group that may.
        held: device files that processes other than ours have open.
    """

    wanted: tuple[str, ...]
    tpus: tuple[Tpu, ...]
    library: Library | None
    architecture: str
    usb3: bool
    user: str
    closed: dict[str, str] = field(default_factory=dict)
    held: dict[str, Holder] = field(default_factory=dict)

    @property
    def loadable(self) -> bool:
        """Whether the library was built for this machine."""
        return self.library is not None and self.library.architecture == self.architecture


def read_tpus(world: World) -> TpuFacts:
    """Look for devices, driver files, library and rights."""
    tpus = find_tpus(world)
    nodes = [tpu.node for tpu in tpus if tpu.node and world.at(tpu.node).exists()]
    strangers = {node: [one for one in holders(world, node) if not one.ours] for node in nodes}
    return TpuFacts(
        wanted=tuple(pipeline.name for pipeline in world.pipelines if needs_edgetpu(pipeline)),
        tpus=tpus,
        library=find_library(world, LIBRARY),
        architecture=world.python.architecture,
        usb3=has_usb3(world),
        user=world.user.name,
        closed={
            node: group_name(world.root, world.at(node).stat().st_gid)
            for node in nodes
            if not may_use(world.at(node), world.user)
        },
        held={node: found[0] for node, found in strangers.items() if found},
    )


def read_library(world: World) -> ProbeSteps | Unavailable:
    """Load the library in a child and have it list its devices; no steps where there is none that fits."""
    library = find_library(world, LIBRARY)
    if library is None or library.architecture != world.python.architecture:
        return ProbeSteps({})
    return ask(world, "edgetpu", str(world.at(library.path)))


def judge_missing_library(facts: TpuFacts) -> Iterator[Problem]:
    """Yield a fault where there is an Edge TPU, but no library for it."""
    if facts.tpus and facts.library is None:
        yield Problem(f"there is an Edge TPU, but no {LIBRARY}", facts.tpus[0].place, _install_library(facts))


def judge_architecture(facts: TpuFacts) -> Iterator[Problem]:
    """Yield a fault where the library was built for another machine than our Python."""
    library = facts.library
    if library and not facts.loadable and (facts.tpus or facts.wanted):
        built = f"is built for {library.architecture}" if library.architecture else "is no library at all"
        yield Problem(
            f"{LIBRARY} {built}, but this Python is {facts.architecture}", library.path, _install_library(facts)
        )


def judge_libusb(facts: TpuFacts, steps: ProbeSteps) -> Iterator[Problem]:
    """Yield a fault where the library cannot be loaded for want of libusb."""
    step = steps.get("library")
    if facts.library and step and step.failed and "libusb" in step.why:
        yield Problem(
            f"{LIBRARY} needs libusb-1.0.so.0, which is not there",
            facts.library.path,
            "sudo apt-get install libusb-1.0-0",
        )


def judge_library(facts: TpuFacts, steps: ProbeSteps) -> Iterator[Problem]:
    """Yield a fault where the library cannot be loaded or asked for another reason."""
    step = next((one for one in steps.taken.values() if one.failed and "libusb" not in one.why), None)
    if facts.library and step:
        mend = f"sudo apt-get install --reinstall libedgetpu1-std  # {facts.library.path}"
        yield Problem(f"{LIBRARY} cannot be used ({step.reason})", facts.library.path, mend)


def judge_device(facts: TpuFacts) -> Iterator[Problem]:
    """Yield a fault where a pipeline wants an Edge TPU, or its library is there, but no device."""
    mend = "plug the Coral in, then: lsusb -d 18d1:9302 || lsusb -d 1a6e:089a || lspci -d 1ac1:"
    if facts.tpus:
        return
    if facts.wanted:
        yield Problem(f"no Edge TPU is there for pipeline {', '.join(facts.wanted)}", "USB and PCIe", mend)
    elif facts.loadable and facts.library:
        yield Problem(f"{LIBRARY} is installed, but no Edge TPU is there", facts.library.path, mend, "warning")


def judge_driver(facts: TpuFacts) -> Iterator[Problem]:
    """Yield a fault where a PCIe Edge TPU has no device file."""
    for tpu in facts.tpus:
        if tpu.kind == "pci" and not tpu.node:
            mend = "sudo apt-get install gasket-dkms && sudo modprobe apex"
            yield Problem("a PCIe Edge TPU has no /dev/apex_0: its driver is not loaded", tpu.place, mend)


def judge_firmware(facts: TpuFacts, steps: ProbeSteps) -> Iterator[Problem]:
    """Yield a note where a USB Edge TPU waits for its firmware."""
    for tpu in facts.tpus:
        if not tpu.ready:
            usable = facts.loadable and not any(step.failed for step in steps.taken.values())
            fact = "the Edge TPU shows as 1a6e:089a: its firmware is not loaded; the first inference does that"
            mend = "run one inference; if it stays 1a6e:089a, unplug it and plug it in again"
            yield Problem(fact, f"USB {tpu.place}", mend, "note" if usable else "warning")


def judge_rights(facts: TpuFacts) -> Iterator[Problem]:
    """Yield a fault for each device file that the user may not use."""
    for node, group in facts.closed.items():
        mend = _open_by_rule(facts.user) if group == "root" else _join(group, facts.user)
        yield Problem(f"user {facts.user} may not use the Edge TPU", node, mend)


def judge_busy(facts: TpuFacts) -> Iterator[Problem]:
    """Yield a fault for each device file that another program holds."""
    for node, holder in facts.held.items():
        yield Problem(f"{holder.name} (process {holder.pid}) holds the Edge TPU", node, f"kill {holder.pid}")


def judge_speed(facts: TpuFacts) -> Iterator[Problem]:
    """Yield a fault where a USB Edge TPU is in a slow port, and there are fast ones."""
    for tpu in facts.tpus:
        if tpu.kind == "usb" and facts.usb3 and 0 < tpu.speed_mbps < USB3_MBPS:
            fact = f"the Edge TPU runs at {tpu.speed_mbps} Mbit/s: a USB 2 port or cable"
            yield Problem(fact, f"USB {tpu.place}", "plug it into a blue USB 3 port, with its own cable", "warning")


def _join(group: str, user: str) -> str:
    return f"sudo usermod --append --groups {group} {user}"


def _open_by_rule(user: str) -> str:
    """Return the command that gives Edge TPUs to plugdev; `inferd install` does it for the service."""
    if user == USER:
        return "sudo inferd install"
    reload = "sudo udevadm control --reload && sudo udevadm trigger"
    return f"sudo cp {source_dir() / RULES} /etc/udev/rules.d/ && {reload} && {_join('plugdev', user)}"


def _install_library(facts: TpuFacts) -> str:
    package = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}.get(facts.architecture, facts.architecture)
    return f"sudo apt-get install libedgetpu1-std:{package}  # its repository: docs/accelerators.md"


CHECKS = (
    Check(
        "accelerator.library",
        "whether libedgetpu is there when an Edge TPU is",
        "models for the Edge TPU run only through libedgetpu",
        judge_missing_library,
        (read_tpus,),
    ),
    Check(
        "accelerator.architecture",
        "whether libedgetpu was built for this machine's Python",
        "a library for another processor cannot be loaded",
        judge_architecture,
        (read_tpus,),
    ),
    Check(
        "accelerator.libusb",
        "whether libedgetpu finds libusb",
        "without libusb the library cannot be loaded",
        judge_libusb,
        (read_tpus, read_library),
    ),
    Check(
        "accelerator.broken",
        "whether libedgetpu can be loaded and asked for devices in a child process",
        "a library that fails or crashes takes the worker with it",
        judge_library,
        (read_tpus, read_library),
    ),
    Check(
        "accelerator.device",
        "whether an Edge TPU is there when a pipeline or libedgetpu waits for one",
        "the pipeline falls back to the CPU twin, or waits",
        judge_device,
        (read_tpus,),
    ),
    Check(
        "accelerator.driver",
        "whether a PCIe Edge TPU has its device file",
        "without the apex driver the library cannot reach the device",
        judge_driver,
        (read_tpus,),
    ),
    Check(
        "accelerator.firmware",
        "whether a USB Edge TPU has its firmware (18d1:9302) or still waits for it (1a6e:089a)",
        "the device changes its USB id when its firmware is loaded; containers that pass one id on lose it then",
        judge_firmware,
        (read_tpus, read_library),
    ),
    Check(
        "accelerator.permission",
        "whether the service's user may use the device file",
        "without the right to the device the library finds no Edge TPU",
        judge_rights,
        (read_tpus,),
    ),
    Check(
        "accelerator.busy",
        "whether another program has the Edge TPU open",
        "an Edge TPU belongs to one process at a time",
        judge_busy,
        (read_tpus,),
    ),
    Check(
        "accelerator.usb2",
        "whether a USB Edge TPU runs at USB 3 speed where the machine has it",
        "weights and frames cross the cable: at a tenth of the speed every inference waits for it",
        judge_speed,
        (read_tpus,),
    ),
)
