"""What is written on an SD card in a day, in sectors of the device: an ext4 of its own on a loop device counts them.

Journal and metadata of the file system are in the figures, for they wear the card as well. Needs root and loop devices.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.agents.agent import program, wait_for
from fixtures.network.broker import Listener, Mosquitto
from inferd.histogram import Histogram
from inferd.records import STAGES, Lane, Message
from inferd.system.clock import CountingClock
from inferd.telemetry.metrics import Value, assemble
from inferd.telemetry.spool.spool import Spool, SpoolLocation
from inferd.wire.telemetry import Event, Header, encode, iso_time

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

SECTOR_BYTES = 512
IMAGE_BYTES = 300_000_000
DAY_S = 86_400
TURN_S = 5
EVENTS_A_DAY = 50
LIMIT_BYTES = 32_000_000
COMMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Card:
    """A mounted ext4 whose sectors are counted."""

    folder: Path
    statistics: Path

    def written_bytes(self) -> int:
        """Return what was ever written to it, with all that waits."""
        fd = os.open(self.folder, os.O_RDONLY)
        ctypes.CDLL(None).syncfs(fd)
        os.close(fd)
        return int(self.statistics.read_text().split()[6]) * SECTOR_BYTES


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root can mount a file system; e2fsprogs makes one")
    image, folder = tmp_path / "image", tmp_path / "card"
    folder.mkdir()
    with image.open("wb") as made:
        made.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop,noatime", str(image), str(folder)], check=False).returncode:
        pytest.skip("loop devices cannot be mounted here")
    device = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", str(folder)], check=True, capture_output=True, text=True
    ).stdout.strip()
    yield Card(folder, Path("/sys/block") / Path(device).name / "stat")
    subprocess.run(["umount", str(folder)], check=True)


def metrics(seq: int, chance: random.Random) -> bytes:
    """Return what a device with one pipeline at ten frames a second says in a minute."""
    stages: dict[str, Value] = {}
    for stage in STAGES:
        collected = Histogram()
        for _ in range(600):
            collected.add(round(6.7e6 * chance.lognormvariate(0, 0.25)))
        stages[stage] = collected.drain()
    body = assemble(
        60.0 * seq,
        60.0,
        system={"cpu_pct": 20.0, "memory_total_mb": 3977.5, "memory_available_mb": 3388.6, "temperature_c": 48.2},
        agent={"messages_dropped": 0},
        processes={name: {"cpu_pct": 12.3, "rss_mb": 60.1, "pss_mb": 40.2} for name in ("control", "worker", "seed")},
        pipelines={"cam": {"frames_in": 600 * seq, "frames_inferred": 600 * seq, "fps": 10.0, "latency_ms": stages}},
    )
    return encode(Header(1, "kitchen", iso_time(1.7e9 + 60 * seq), "c0ffeec0ffee", seq), body)


def a_day(card: Card, tail: Path, *, online: bool, results_per_s: float = 0.0) -> int:
    """Return how many bytes a day costs the card; a sync after each turn keeps what is not synced from being merged."""
    clock, chance = CountingClock(), random.Random(1)  # noqa: S311 - repeatable
    spool = Spool(SpoolLocation(card.folder / "spool", tail, LIMIT_BYTES, COMMIT_S), clock, _nothing, _nothing)
    minutes = [metrics(seq, chance) for seq in range(50)]
    event = encode(
        Header(1, "kitchen", iso_time(1.7e9), "c0ffeec0ffee", 1), Event("source.failed", "warning", "x" * 120)
    )
    before = card.written_bytes()
    for turn in range(DAY_S // TURN_S):
        said: list[tuple[Lane, bytes]] = []
        if turn % (60 // TURN_S) == 0:
            said.append(("metrics", minutes[turn % len(minutes)]))
        if turn % (DAY_S // TURN_S // EVENTS_A_DAY) == 0:
            said.append(("event", event))
        said += [("result", b"x" * 400)] * round(results_per_s * TURN_S)
        for lane, payload in said:
            number = spool.put(lane, Message(lane, payload, 1))
            if online:
                spool.delivered(number)
        clock.advance(TURN_S)
        spool.turn()
        if said and not online:
            card.written_bytes()
    spool.close()
    return card.written_bytes() - before


def _nothing() -> None:
    pass


def test_a_day_at_the_defaults_writes_less_than_thirty_megabytes(
    card: Card, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days: dict[str, Callable[[], int]] = {
        "broker there": lambda: a_day(card, tmp_path / "run", online=True),
        "broker away all day": lambda: a_day(card, tmp_path / "run2", online=False),
        "broker away, a kept result a second": lambda: a_day(card, tmp_path / "run3", online=False, results_per_s=1.0),
    }
    written = {name: measure() for name, measure in days.items()}
    with capsys.disabled():
        for name, size_bytes in written.items():
            print(f"\nSD card, {name}: {size_bytes / 1e6:.1f} MB a day")  # noqa: T201 - what it is for
    assert written["broker there"] <= 1_000_000
    assert written["broker away all day"] <= 30_000_000


def test_the_running_agent_writes_next_to_nothing(
    card: Card, tmp_path: Path, capsys: pytest.CaptureFixture[str], mosquitto: Mosquitto
) -> None:
    listener = Listener(mosquitto.port)
    config = f"""
[mqtt]
port = {mosquitto.port}
[metrics]
interval_s = 2
[[pipeline]]
name = "cam"
model = "fake"
source = {{kind = "synthetic", width = 64, height = 48}}
pace = {{mode = "fixed"}}
engine = {{kind = "fake"}}
"""
    minutes = 30  # worth of metrics, thirty times as fast
    with program(tmp_path, config, card.folder, RUNTIME_DIRECTORY=str(tmp_path)) as running:
        running.result()
        assert wait_for(lambda: any(topic.endswith("/metrics") for topic in listener.topics()))
        before, heard = card.written_bytes(), sum(topic.endswith("/metrics") for topic in listener.topics())

        def enough() -> bool:
            running.result()
            return sum(topic.endswith("/metrics") for topic in listener.topics()) >= heard + minutes

        assert wait_for(enough, 120)
        written = card.written_bytes() - before
    listener.close()
    with capsys.disabled():
        print(f"\nSD card, whole agent, broker there: {written / 1e6:.2f} MB for {minutes} reports")  # noqa: T201
    assert written * 1440 / minutes <= 30_000_000
