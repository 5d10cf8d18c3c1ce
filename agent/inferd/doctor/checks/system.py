"""Judges the system around the service: time, watchdog, units, ports, control groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inferd import __version__
from inferd.doctor.check import Check, Problem
from inferd.doctor.readers.listening_ports import ListeningSocket, listeners
from inferd.doctor.readers.requirements import Listening, ports
from inferd.doctor.readers.world import SYSTEM_FILE, World
from inferd.install.layout import UNIT, source_dir
from inferd.records import Unavailable

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
PROGRAM = re.compile(r"\S*/bin/inferd\b")  # where inferd lies differs from one installation to the next
BUILT_S = 1_760_000_000.0  # 2025-10-09: nobody has run inferd before
SYSTEMD_CONF = "/etc/systemd/system.conf"
WATCHDOG_SET = re.compile(r"^\s*RuntimeWatchdogSec\s*=\s*(?!0\s*$|off\s*$|infinity\s*$)\S", re.MULTILINE)
WATCHDOG_FILE = "/etc/systemd/system.conf.d/50-inferd-hardware-watchdog.conf"


@dataclass(frozen=True, slots=True)
class TimeFacts:
    """What the device knows of time; `synchronised` is None where nobody can say."""

    wall_s: float
    synchronised: bool | None
    is_board: bool


@dataclass(frozen=True, slots=True)
class Unit:
    """An installed unit, and whether it is the one of this inferd."""

    path: str
    current: bool

    @property
    def packaged(self) -> bool:
        """Whether it came with a Debian package."""
        return self.path.startswith(("/usr/lib/", "/lib/"))


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """How inferd is installed as a service.

    Attributes:
        unit: None where none is installed.
        configured: whether there is a configuration for a service, /etc/inferd/inferd.toml.
        systemd: whether this system is run by systemd.
        has_watchdog: whether there is a hardware watchdog, and `fed` whether systemd feeds it.
        has_cgroups: whether control groups v2 are in use, and `memory` whether they limit memory.
    """

    unit: Unit | None
    configured: bool
    systemd: bool
    has_watchdog: bool
    fed: bool
    has_cgroups: bool
    memory: bool


@dataclass(frozen=True, slots=True)
class PortFacts:
    """The ports that inferd is to listen on, and who listens on them now."""

    wanted: tuple[Listening, ...]
    taken: tuple[ListeningSocket, ...]


def read_time(world: World) -> TimeFacts | Unavailable:
    """Ask whether the clock is synchronised, as timedatectl tells it (chrony counts as well)."""
    is_board = bool(world.board)
    ran = world.run("timedatectl", "show", "--property=NTPSynchronized", "--value") if is_board else None
    told = {"yes": True, "no": False}.get(ran.out.strip()) if ran else None
    return TimeFacts(world.clock.wall_s(), told, is_board)


def read_service(world: World) -> ServiceFacts:
    """Look for unit, watchdog and control groups."""
    dropins = sorted(world.at(f"{SYSTEMD_CONF}.d").glob("*.conf"))
    manager = [world.read(SYSTEMD_CONF) or "", *(file.read_text(errors="replace") for file in dropins)]
    controllers = world.read("/sys/fs/cgroup/cgroup.controllers")
    return ServiceFacts(
        unit=find_unit(world),
        configured=(world.root / SYSTEM_FILE).exists(),
        systemd=world.at("/run/systemd/system").is_dir(),
        has_watchdog=world.at("/dev/watchdog").exists(),
        fed=_is_fed(world) or any(WATCHDOG_SET.search(text) for text in manager),
        has_cgroups=controllers is not None,
        memory="memory" in (controllers or "").split(),
    )


def read_ports(world: World) -> PortFacts:
    """Look who listens on the ports that are wanted."""
    wanted = ports(world.configured)
    numbers = {one.port for one in wanted}
    return PortFacts(wanted, tuple(one for one in listeners(world, numbers) if not one.ours))


def find_unit(world: World) -> Unit | None:
    """Return the unit that systemd would use, None where there is none."""
    for folder in UNIT_FOLDERS:
        text = world.read(f"{folder}/{UNIT}")
        if text is not None:
            ours = (source_dir() / UNIT).read_text()
            return Unit(f"{folder}/{UNIT}", PROGRAM.sub("", text) == PROGRAM.sub("", ours).strip("\0\n "))
    return None


def judge_clock(facts: TimeFacts) -> Iterator[Problem]:
    """Yield a fault where the clock cannot be right, or a board's is not synchronised."""
    if facts.wall_s < BUILT_S:
        yield Problem("the clock is years behind", "system clock", "sudo timedatectl set-ntp true")
    elif facts.is_board and facts.synchronised is False:
        yield Problem("the clock is not synchronised", "system clock", "sudo timedatectl set-ntp true", "warning")


def judge_unit(facts: ServiceFacts) -> Iterator[Problem]:
    """Yield a fault where there is a configuration for a service, but no service."""
    if facts.systemd and facts.configured and facts.unit is None:
        fact = "/etc/inferd/inferd.toml is there, but no service is installed that uses it"
        yield Problem(fact, f"/etc/systemd/system/{UNIT}", "sudo inferd install", "warning")


def judge_unit_age(facts: ServiceFacts) -> Iterator[Problem]:
    """Yield a fault where the unit is not the one that came with this inferd."""
    if facts.unit and not facts.unit.current:
        mend = "sudo apt-get install --reinstall inferd" if facts.unit.packaged else "sudo inferd install"
        yield Problem(f"the unit is not the one of inferd {__version__}", facts.unit.path, mend, "warning")


def judge_watchdog(facts: ServiceFacts) -> Iterator[Problem]:
    """Yield a fault where a service runs beside a hardware watchdog that nobody feeds."""
    if facts.unit and facts.has_watchdog and not facts.fed:
        example = source_dir() / "examples/hardware-watchdog.conf"
        mend = f"sudo install -D -m 0644 {example} {WATCHDOG_FILE} && sudo systemctl daemon-reexec"
        yield Problem("the hardware watchdog is off", "/dev/watchdog", mend, "warning")


def judge_memory_group(facts: ServiceFacts) -> Iterator[Problem]:
    """Yield a note where the kernel keeps no account of memory."""
    if facts.unit and facts.has_cgroups and not facts.memory:
        mend = "sudo sed -i 's/$/ cgroup_enable=memory/' /boot/firmware/cmdline.txt && sudo reboot"
        yield Problem("the memory control group is off", "/sys/fs/cgroup/cgroup.controllers", mend, "note")


def judge_ports(facts: PortFacts) -> Iterator[Problem]:
    """Yield a fault for each wanted port that another program has."""
    for one in facts.wanted:
        for taken in facts.taken:
            if taken.port == one.port:
                who = f"{taken.name} (process {taken.pid})" if taken.pid else "another program"
                yield Problem(f"{who} listens on port {one.port} already", one.key, f"set {one.key} to a free port")


def _is_fed(world: World) -> bool:
    return any(
        file.read_text(errors="replace").strip() == "active" for file in world.at("/sys/class/watchdog").glob("*/state")
    )


CHECKS = (
    Check(
        "system.clock",
        "whether the clock can be right and, on a board, is synchronised",
        "messages carry wrong times, and TLS refuses certificates",
        judge_clock,
        (read_time,),
    ),
    Check(
        "system.unit",
        "whether the service is installed where a configuration waits for it",
        "without the unit inferd does not start with the device",
        judge_unit,
        (read_service,),
    ),
    Check(
        "system.unit-old",
        "whether the installed unit is the one of this version of inferd; changes belong into drop-ins",
        "an old unit starts what is no longer there, or without the limits of the new one",
        judge_unit_age,
        (read_service,),
    ),
    Check(
        "system.watchdog",
        "whether systemd feeds the hardware watchdog of a device that runs the service",
        "only the hardware watchdog brings back a device whose kernel hangs",
        judge_watchdog,
        (read_service,),
    ),
    Check(
        "system.memory-group",
        "whether the kernel can limit the memory of a service",
        "MemoryMax has no effect then; inferd's own limits hold without it",
        judge_memory_group,
        (read_service,),
    ),
    Check(
        "system.port",
        "whether the ports that inferd is to listen on are free",
        "what cannot listen cannot be asked",
        judge_ports,
        (read_ports,),
    ),
)
