"""All of a self-test, one part after the other, each with its share of the time."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import msgspec

from inferd import __version__
from inferd.config import settings
from inferd.doctor.checks.accelerator import read_accelerators
from inferd.doctor.readers.world import look_around
from inferd.meters.device_meters import DeviceMeter
from inferd.records import Unavailable
from inferd.selftest.agent_trial import try_agent
from inferd.selftest.engines import available_cores, load_all, number, processor, read_text, time_engines
from inferd.selftest.report import SCHEMA_VERSION, Board, SelftestReport, SustainedLoad
from inferd.system import machine
from inferd.system.clock import Clock

RUNTIMES = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "numpy", "opencv-python-headless")
LOOK_S = 2.0
FIRST_S = 1.5  # until meters that count what happens have something to count
ENGINES_SHARE, LOAD_SHARE, AGENT_SHARE = 0.1, 0.6, 0.2  # the rest is starting and stopping

Say = Callable[[str], None]


def examine_board(seconds: float, clock: Clock, environment: Mapping[str, str], say: Say) -> SelftestReport:
    """Do everything in about so long; `say` hears what begins."""
    meter = DeviceMeter(clock, settings.MetricsConfig(slow_s=1.0), Path(tempfile.gettempdir()))
    try:
        say("meters")
        clock.pause(FIRST_S)
        meter.tick()
        found = readings(meter)
        say("engines and delegates")
        timed = time_engines(seconds * ENGINES_SHARE, why_not_timed(clock, environment))
        say(f"load on all cores, {seconds * LOAD_SHARE:.0f} s")
        heat = heated(meter, seconds * LOAD_SHARE, clock)
    finally:
        meter.close()
    say("the agent: model swaps, death of its worker")
    with tempfile.TemporaryDirectory(prefix="inferd-selftest-") as folder:
        agent = try_agent(Path(folder), clock, seconds * AGENT_SHARE)
    now = datetime.fromtimestamp(clock.wall_s(), UTC).isoformat(timespec="seconds")
    return SelftestReport(SCHEMA_VERSION, now, describe(found), runtimes(), timed, found, heat, agent)


def describe(found: Mapping[str, float | str]) -> Board:
    """Return what this board is; its names and addresses stay out."""
    here = machine.describe()
    memory = found.get("memory_total_mb")
    return Board(
        name=here.board,
        processor=processor(read_text(Path("/proc/cpuinfo"))),
        architecture=here.architecture,
        cores=available_cores(),
        memory_mb=memory if isinstance(memory, float) else None,
        os=here.os,
        kernel=platform.release(),
        python=here.python,
        inferd=__version__,
    )


def runtimes() -> dict[str, str | None]:
    """Return the installed versions of what runs models."""
    return {name: _version(name) for name in RUNTIMES}


def readings(meter: DeviceMeter) -> dict[str, float | str]:
    """Return what each meter reads, or why it reads nothing."""
    told: dict[str, float | str] = {}
    for name, reading in meter.sample().items():
        if isinstance(reading, Mapping):
            told.update({f"{name}.{key}": value for key, value in reading.items()})
        else:
            told[name] = number(reading)
    told.update({name: number(why) for name, why in meter.unavailable().items()})
    return told


def heated(meter: DeviceMeter, seconds: float, clock: Clock) -> SustainedLoad:
    """Load all cores and read temperature, clock and throttling before, while and after."""
    before = meter.sample()

    def glance() -> dict[str, float | None]:
        meter.tick()
        return meter.glance()

    heat = load_all(seconds, glance, clock)
    after = meter.sample()
    return msgspec.structs.replace(
        heat,
        before_mhz=_known(before.get("clock_mhz")),
        after_mhz=_known(after.get("clock_mhz")),
        throttled_s=_known(after.get("throttled_s")),
    )


def why_not_timed(clock: Clock, environment: Mapping[str, str]) -> dict[str, str]:
    """Return why the digits model is not timed on each kind of accelerator, by its name."""
    reasons = {}
    for one in read_accelerators(look_around(None, environment, clock, LOOK_S)):
        why = f"the {one.title} is there; the digits model is not compiled for it, `inferd infer` tries one that is"
        if not one.devices:
            why = f"no {one.title} is connected"
        elif not one.loadable:
            why = f"the {one.title} is there, but no {one.accelerator.library} for this machine; run `inferd doctor`"
        reasons[one.accelerator.name] = why
    return reasons


def wanted_here(output: Path | None, clock: Clock) -> Path:
    """Return the file that the report goes to, without its ending."""
    today = datetime.fromtimestamp(clock.wall_s(), UTC)
    return (output or Path(f"inferd-selftest-{today:%Y%m%d-%H%M%S}")).absolute()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _known(reading: object) -> float | None:
    return None if isinstance(reading, Unavailable) or not isinstance(reading, int | float) else float(reading)
