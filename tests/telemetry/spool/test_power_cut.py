"""A power cut at any moment: what the spool had committed is there, and nothing that nobody wrote."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from fixtures.disks.append_power_cut import Files, GrowingDisk, after_a_power_cut, put_below, read_below
from inferd.records import Lane, Message
from inferd.system.clock import CountingClock
from inferd.telemetry.metrics import assemble
from inferd.telemetry.spool import record_codec
from inferd.telemetry.spool.record_codec import Record
from inferd.telemetry.spool.spool import COMMIT_RECORDS, Spool, SpoolLocation
from inferd.wire.telemetry import Header, Metrics, encode

COMMIT_S = 5.0


def nothing() -> None:
    pass


def spool_at(folder: Path, clock: CountingClock, disk: GrowingDisk | None = None, limit_bytes: int = 16_000) -> Spool:
    place = SpoolLocation(folder / "spool", folder / "run", limit_bytes, COMMIT_S)
    return Spool(place, clock, nothing, nothing, disk) if disk else Spool(place, clock, nothing, nothing)


def take(spool: Spool) -> Record | None:
    """Return the next record, after as many turns as reading it back needs."""
    for _ in range(3):
        if (record := spool.take(1 << 62)) is not None:
            return record
        spool.turn()
    return None


def drained(spool: Spool) -> dict[int, bytes]:
    """Take, as a broker that acknowledges everything, all that there is."""
    got: dict[int, bytes] = {}
    while (record := take(spool)) is not None:
        assert not got or record.number > max(got), "out of order"
        got[record.number] = record.payload
        spool.delivered(record.number)
    return got


@dataclass
class Story:
    """A spool at work, and what had been promised at each moment of it."""

    folder: Path
    syncs: bool = True
    limit_bytes: int = 16_000
    published: dict[int, bytes] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    promised: list[tuple[int, frozenset[int], int]] = field(default_factory=list)
    """From so many calls on: what must be there, and how many had been published."""

    def __post_init__(self) -> None:
        self.clock = CountingClock()
        spool_at(self.folder, self.clock).close()
        self.before: Files = read_below(self.folder / "spool")
        self.disk = GrowingDisk(self.folder / "spool", self.syncs)
        self.spool = spool_at(self.folder, self.clock, self.disk, self.limit_bytes)

    def publish(self, lane: Lane, count: int, size_bytes: int = 60) -> None:
        for _ in range(count):
            payload = f"{lane} {len(self.published)} ".encode().ljust(size_bytes, b"x")
            self.published[self.spool.put(lane, Message("event", payload, 1))] = payload

    def commit(self) -> None:
        self.clock.advance(COMMIT_S)
        self.spool.turn()
        there = frozenset(self.published) - self.delivered
        self.promised.append((len(self.disk.calls), there, len(self.published)))

    def deliver(self, count: int) -> None:
        for _ in range(count):
            record = take(self.spool)
            assert record is not None
            self.delivered.add(record.number)
            self.spool.delivered(record.number)
        self.promised.append((len(self.disk.calls), frozenset(self.published) - self.delivered, len(self.published)))


def promise_at(story: Story, calls: int) -> frozenset[int]:
    """Return what must be there after so many calls."""
    kept = [there for at, there, _ in story.promised if at <= calls]
    later = [there for at, there, _ in story.promised if at > calls]
    # What is delivered while the next calls are made need not be there any more.
    return kept[-1] & later[0].union(*later) if kept and later else (kept[-1] if kept else frozenset())


def survivors(story: Story, scratch: Path) -> list[str]:
    """Return what is wrong after a power cut at any moment; each state is recovered by a new spool."""
    wrong: list[str] = []
    states = 0
    for calls in range(len(story.disk.calls) + 1):
        must = promise_at(story, calls)
        for number, files in enumerate(after_a_power_cut(story.before, story.disk.calls[:calls])):
            states += 1
            folder = scratch / f"{calls}-{number}"
            put_below(story.folder / "spool", folder / "spool", files)
            spool = spool_at(folder, CountingClock(), limit_bytes=10**6)
            got = drained(spool)
            spool.close()
            shutil.rmtree(folder)
            if invalid := [one for one in got if story.published.get(one) != got[one]]:
                wrong.append(f"{calls}-{number}: {invalid} were never written so")
            if missing := must - set(got):
                wrong.append(f"{calls}-{number}: {sorted(missing)} are missing")
    assert states > len(story.disk.calls)
    return wrong


def a_story(folder: Path, *, syncs: bool = True) -> Story:
    story = Story(folder, syncs)
    story.publish("event", 3)
    story.publish("result", 4)
    story.commit()
    story.publish("alert", 2)
    story.publish("event", 18)  # a further segment
    story.commit()
    story.deliver(5)
    story.publish("event", 2)
    story.commit()
    story.deliver(20)
    story.publish("result", 2)
    story.commit()
    for _ in range(4):
        story.publish("event", 9)
        story.publish("alert", 1)
        story.commit()
        story.deliver(7)
    return story


def minute(seq: int) -> Message:
    """Return the metrics of a minute in which there were `seq` swaps so far."""
    body = assemble(60.0 * seq, 60.0, system={}, agent={}, processes={}, pipelines={"cam": {"engine_swaps": seq}})
    return Message("metrics", encode(Header(1, "pi", "", "c0ffeec0ffee", seq), body), 1)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_power_cut_while_metrics_are_thinned_loses_no_minute_and_tells_none_twice(tmp_path: Path) -> None:
    story = Story(tmp_path / "agent", limit_bytes=28_000)
    committed: list[tuple[int, int]] = [(0, 0)]
    for seq in range(1, 23):
        story.spool.put("metrics", minute(seq))
        story.clock.advance(COMMIT_S)
        story.spool.turn()
        committed.append((len(story.disk.calls), seq))
    levels = {path.stem[-1] for path in (story.folder / "spool/metrics").iterdir()}
    assert len(levels) > 1, "nothing was thinned"
    for calls in range(len(story.disk.calls) + 1):
        least = max(seq for at, seq in committed if at <= calls)
        for number, files in enumerate(after_a_power_cut(story.before, story.disk.calls[:calls], step_bytes=499)):
            folder = tmp_path / f"{calls}-{number}"
            put_below(story.folder / "spool", folder / "spool", files)
            spool = spool_at(folder, CountingClock(), limit_bytes=10**7)
            bodies = [msgspec.json.decode(payload, type=Metrics) for payload in drained(spool).values()]
            spool.close()
            shutil.rmtree(folder)
            assert sum(body.interval_s for body in bodies) / 60 in (least, least + 1), f"{calls}-{number}"


@pytest.mark.slow
def test_after_a_power_cut_all_that_was_committed_is_there_and_nothing_else(tmp_path: Path) -> None:
    assert survivors(a_story(tmp_path / "agent"), tmp_path) == []


def test_what_a_power_cut_takes_is_at_most_one_commit_window(tmp_path: Path) -> None:
    story = Story(tmp_path, limit_bytes=10**6)
    for _ in range(10):
        story.publish("event", COMMIT_RECORDS)
        story.spool.turn()
        there = {number for segment in (tmp_path / "spool/event").iterdir() for number in numbers(segment)}
        assert len(story.published) - len(there) < COMMIT_RECORDS


def numbers(segment: Path) -> list[int]:
    items, _, _ = record_codec.parse(segment.read_bytes(), int(segment.name[:16], 16))
    return [item.number for item in items if isinstance(item, record_codec.Record)]


def test_without_syncs_the_same_test_fails(tmp_path: Path) -> None:
    story = Story(tmp_path / "agent", syncs=False)
    story.publish("event", 3)
    story.commit()
    assert any("missing" in one for one in survivors(story, tmp_path))


def test_without_the_checksum_the_same_bytes_would_be_taken_for_records() -> None:
    """So the test above sees what the CRC is for: a torn record has a right length and decodes, but is another one."""
    record = record_codec.Record(1, "event", 0.0, "event", b"right right right")
    torn = record_codec.frame(record).replace(b" right", b" wrong", 1)
    length_bytes = 8
    assert record_codec.parse(torn) == ([], 0, 0)
    assert record_codec._decoder.decode(torn[length_bytes:]) != record  # noqa: SLF001 - the negative control looks inside


@pytest.mark.parametrize("torn_bytes", range(1, 40))
def test_a_torn_end_is_healed_and_what_comes_after_it_is_kept(tmp_path: Path, torn_bytes: int) -> None:
    clock = CountingClock()
    spool = spool_at(tmp_path, clock)
    for payload in (b"first", b"second"):
        spool.put("event", Message("event", payload, 1))
    spool.close()
    (segment,) = (tmp_path / "spool/event").iterdir()
    segment.write_bytes(segment.read_bytes()[:-torn_bytes])
    again = spool_at(tmp_path, clock)
    again.put("event", Message("event", b"third", 1))
    clock.advance(COMMIT_S)
    again.turn()
    again.close()
    assert list(drained(spool_at(tmp_path, clock)).values()) == [b"first", b"third"]
