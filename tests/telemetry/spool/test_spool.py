from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import msgspec
import pytest

from inferd.histogram import Histogram, HistogramData, merge, quantile
from inferd.records import Lane, Message
from inferd.system.clock import CountingClock
from inferd.system.files.atomic import Disk
from inferd.telemetry.metrics import assemble, histogram
from inferd.telemetry.spool.downsampling import thinner
from inferd.telemetry.spool.record_codec import Record
from inferd.telemetry.spool.segments import Segments
from inferd.telemetry.spool.spool import COMMIT_RECORDS, RETRY_S, Spool, SpoolLocation
from inferd.wire import telemetry
from inferd.wire.telemetry import Header, Latency, Metrics, encode

COMMIT_S = 5.0
FOREVER = 1 << 62
DAY_S = 86_400


class FailingDisk(Disk):
    """Refuses to write while `number` is set."""

    number = 0
    refused = 0

    def append(self, fd: int, data: bytes) -> None:
        self._refuse()
        super().append(fd, data)

    def fsync(self, fd: int) -> None:
        self._refuse()
        super().fsync(fd)

    def _refuse(self) -> None:
        if self.number:
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number))


class HastyDisk(Disk):
    """Waits for nothing: for months in seconds, where no power is cut."""

    def fsync(self, fd: int) -> None:
        pass


class Around:
    """A spool in a folder, and the clock that moves it."""

    def __init__(self, folder: Path, limit_bytes: int = 1_000_000, disk: Disk | None = None) -> None:
        self.folder = folder
        self.clock = CountingClock()
        self.woken = 0
        self.place = SpoolLocation(folder / "spool", folder / "run", limit_bytes, COMMIT_S)
        self.disk = disk or Disk()
        self.spool = self.open()

    def open(self) -> Spool:
        return Spool(self.place, self.clock, self._wake, lambda: None, self.disk)

    def put(self, lane: Lane, payload: bytes) -> int:
        return self.spool.put(lane, Message(lane, payload, 1))

    def commit(self) -> None:
        self.clock.advance(COMMIT_S)
        self.spool.turn()

    def after_a_kill(self) -> None:
        """Go on with what a killed process leaves."""
        self.spool = self.open()

    def after_a_power_cut(self) -> None:
        """Go on with what was synced: what was in memory only is gone."""
        for path in (self.folder / "run").iterdir():
            path.unlink()
        self.spool = self.open()

    def take(self, before: int = FOREVER) -> Record | None:
        for _ in range(3):
            if (record := self.spool.take(before)) is not None:
                return record
            self.spool.turn()
        return None

    def take_all(self) -> list[bytes]:
        taken = []
        while (record := self.take()) is not None:
            taken.append(record.payload)
        return taken

    def files(self) -> list[Path]:
        return [path for path in (self.folder / "spool").rglob("*.seg") if path.stat().st_size]

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def around(tmp_path: Path) -> Around:
    return Around(tmp_path)


def test_what_was_put_is_taken_in_order_over_all_lanes(around: Around) -> None:
    lanes: tuple[Lane, ...] = ("event", "result", "alert", "metrics", "event")
    for number, lane in enumerate(lanes):
        around.put(lane, str(number).encode())
    around.commit()
    assert around.take_all() == [b"0", b"1", b"2", b"3", b"4"]


def test_what_is_delivered_within_the_window_never_touches_the_disk(around: Around) -> None:
    for _ in range(200):
        around.spool.delivered(around.put("metrics", b"x" * 5_000))
        around.commit()
    assert around.files() == []


def test_a_full_window_is_committed_before_its_time(around: Around) -> None:
    for number in range(COMMIT_RECORDS):
        around.put("event", str(number).encode())
    around.spool.turn()
    assert len(around.files()) == 1


def test_putting_wakes_whoever_writes(around: Around) -> None:
    around.put("event", b"x")
    assert around.woken == 1


def test_a_kill_loses_nothing_even_before_the_commit(around: Around) -> None:
    around.put("event", b"just now")
    around.after_a_kill()
    assert around.take_all() == [b"just now"]


def test_a_power_cut_loses_what_was_not_committed(around: Around) -> None:
    around.put("event", b"early")
    around.commit()
    around.put("event", b"just now")
    around.after_a_power_cut()
    assert around.take_all() == [b"early"]


def test_what_was_delivered_before_a_kill_does_not_come_again(around: Around) -> None:
    for number in range(10):
        around.put("event", str(number).encode())
    around.commit()
    for _ in range(4):
        record = around.take()
        assert record is not None
        around.spool.delivered(record.number)
    around.after_a_kill()
    assert around.take_all() == [str(number).encode() for number in range(4, 10)]


def test_what_was_taken_and_not_delivered_is_taken_again_after_a_rewind(around: Around) -> None:
    for payload in (b"1", b"2", b"3"):
        around.put("event", payload)
    around.commit()
    around.take_all()
    around.spool.rewind()
    assert around.take_all() == [b"1", b"2", b"3"]


def test_what_the_live_side_still_holds_is_not_taken(around: Around) -> None:
    around.put("event", b"missed")
    live = around.put("event", b"live")
    assert [around.take(live), around.take(live)] != [None, None]
    assert around.take(live) is None
    around.commit()
    assert around.take(live) is None


def test_what_is_delivered_out_of_turn_is_skipped(around: Around) -> None:
    numbers = [around.put("event", payload) for payload in (b"1", b"2", b"3")]
    around.commit()
    around.spool.delivered(numbers[1])
    assert around.take_all() == [b"1", b"3"]


def test_what_was_acknowledged_before_its_elders_is_not_taken_again_after_a_rewind(around: Around) -> None:
    for payload in (b"1", b"2", b"3"):
        around.put("event", payload)
    around.commit()
    taken = [around.take(), around.take()]
    assert taken[1] is not None
    around.spool.delivered(taken[1].number)
    around.spool.rewind()
    assert around.take_all() == [b"1", b"3"]


def test_when_everything_is_delivered_the_files_go(around: Around) -> None:
    for _ in range(100):
        around.put("event", b"x" * 100)
    around.commit()
    while (record := around.take()) is not None:
        around.spool.delivered(record.number)
    around.commit()
    assert around.files() == []


def test_numbers_go_on_after_everything_was_delivered_and_the_process_ended(around: Around) -> None:
    first = around.put("event", b"x")
    around.commit()
    around.spool.delivered(first)
    around.commit()
    around.spool.close()
    around.after_a_kill()
    around.put("event", b"y")
    around.commit()
    assert around.take_all() == [b"y"]


def test_a_wall_clock_that_jumps_changes_nothing(around: Around) -> None:
    around.put("event", b"in 2023")
    around.clock = CountingClock(wall_s=0.0)
    around.after_a_kill()
    around.put("event", b"in 1970")
    around.commit()
    assert around.take_all() == [b"in 2023", b"in 1970"]


def test_a_disk_that_cannot_be_read_at_a_start_in_1970_keeps_the_order(tmp_path: Path) -> None:
    old = Record(40_000_000, "event", 1.7e9, "event", b"after a year")
    Segments(tmp_path / "spool", 10_000).append([old])
    (tmp_path / "spool").rename(tmp_path / "away")
    (tmp_path / "spool").touch()
    around = Around(tmp_path)
    around.clock = CountingClock(wall_s=12.0)
    around.after_a_kill()
    around.put("event", b"in 1970")
    (tmp_path / "spool").unlink()
    (tmp_path / "away").rename(tmp_path / "spool")
    around.clock.advance(RETRY_S)
    around.commit()
    assert around.take_all() == [b"after a year", b"in 1970"]


def test_old_bulk_goes_first_and_alerts_last(tmp_path: Path) -> None:
    around = Around(tmp_path, limit_bytes=64_000)
    for number in range(2_000):
        around.put("alert" if number % 50 == 0 else "result", f"{number} ".encode() + b"x" * 400)
        around.spool.turn()
    around.commit()
    taken = [int(payload.split()[0]) for payload in around.take_all()]
    results = [number for number in taken if number % 50]
    assert [number for number in taken if number % 50 == 0] == list(range(0, 2_000, 50))
    assert results == [number for number in range(results[0], 2_000) if number % 50]
    assert around.spool.dropped["result"] == 2_000 - len(taken)
    assert around.spool.size_bytes <= 64_000


def test_what_the_bound_cost_is_told(tmp_path: Path) -> None:
    around = Around(tmp_path, limit_bytes=32_000)
    for _ in range(200):
        around.put("result", b"x" * 400)
        around.spool.turn()
    assert "messages of 'result' are lost so far" in around.spool.faults()[-1]
    assert around.spool.faults() == []


def test_more_than_fits_is_bounded_when_it_comes_all_at_once(tmp_path: Path) -> None:
    around = Around(tmp_path, limit_bytes=20_000)
    for _ in range(400):
        around.put("event", b"x" * 300)
    around.commit()
    assert around.spool.size_bytes <= 20_000
    assert around.spool.dropped["event"] == 400 - len(around.take_all())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_is_told_and_everything_waits_in_memory(tmp_path: Path, number: int) -> None:
    disk = FailingDisk()
    around = Around(tmp_path, disk=disk)
    around.put("event", b"before")
    around.commit()
    disk.number = number
    around.put("event", b"meanwhile")
    around.commit()
    assert os.strerror(number) in around.spool.faults()[0]
    assert around.take_all() == [b"before", b"meanwhile"]


@pytest.mark.parametrize(("number", "makes_room"), [(errno.ENOSPC, True), (errno.EIO, False), (errno.EROFS, False)])
def test_old_records_make_room_on_a_full_disk_and_on_no_other(tmp_path: Path, number: int, *, makes_room: bool) -> None:
    disk = FailingDisk()
    around = Around(tmp_path, limit_bytes=20_000, disk=disk)
    for _ in range(40):
        around.put("result", b"x" * 300)
        around.commit()
    before = around.spool.dropped["result"]
    disk.number = number
    around.put("event", b"more")
    around.commit()
    assert (around.spool.dropped["result"] > before) is makes_room


def test_as_many_records_as_are_committed_at_a_time_wake_the_writer_once(tmp_path: Path) -> None:
    around = Around(tmp_path)
    for _ in range(COMMIT_RECORDS - 1):
        around.put("event", b"x")
    before = around.woken
    around.put("event", b"x")
    assert around.woken == before + 1


def test_a_disk_that_refused_is_asked_again_after_a_pause_only(tmp_path: Path) -> None:
    disk = FailingDisk()
    around = Around(tmp_path, disk=disk)
    disk.number = errno.EIO
    around.put("event", b"x")
    around.commit()
    refused = disk.refused
    around.spool.turn()
    assert disk.refused == refused > 0
    around.clock.advance(RETRY_S)
    around.spool.turn()
    assert disk.refused > refused


def test_a_closed_spool_holds_no_file_open(tmp_path: Path) -> None:
    around = Around(tmp_path)
    around.put("event", b"x" * 300)
    around.commit()
    around.spool.close()
    held = [str(link.resolve()) for link in Path("/proc/self/fd").iterdir()]
    assert [path for path in held if path.startswith(str(tmp_path))] == []


def test_a_disk_that_is_mended_gets_what_waited(tmp_path: Path) -> None:
    disk = FailingDisk()
    around = Around(tmp_path, disk=disk)
    disk.number = errno.EIO
    for number in range(3):
        around.put("event", str(number).encode())
        around.commit()
    disk.number = 0
    around.clock.advance(RETRY_S)
    around.commit()
    around.after_a_power_cut()
    assert around.take_all() == [b"0", b"1", b"2"]


def test_a_write_that_failed_half_way_is_no_harm(tmp_path: Path) -> None:
    around = Around(tmp_path)
    around.put("event", b"whole")
    around.commit()
    (segment,) = around.files()
    with segment.open("ab") as torn:
        torn.write(b"half a rec")
    around.after_a_power_cut()
    around.put("event", b"later")
    around.commit()
    assert around.take_all() == [b"whole", b"later"]


@pytest.mark.parametrize("where", [12, 200, 500])
def test_a_damaged_place_costs_the_records_in_it_and_is_told(tmp_path: Path, where: int) -> None:
    around = Around(tmp_path)
    texts = [b"%d" % number * 20 for number in range(20)]
    for text in texts:
        around.put("event", text)
    around.commit()
    (segment,) = around.files()
    content = bytearray(segment.read_bytes())
    assert where < len(content) - 100, "the damage must lie before the last record"
    content[where] ^= 0xFF
    segment.write_bytes(content)
    around.after_a_power_cut()
    kept = around.take_all()
    assert len(kept) == len(texts) - 1
    assert kept == [text for text in texts if text in kept]
    around.spool.turn()
    assert "damaged in 1 places" in around.spool.faults()[0]
    assert around.spool.dropped["event"] == 1
    around.spool.turn()
    assert around.spool.faults() == []


def test_a_hole_of_zeros_costs_no_more_than_what_stood_there(tmp_path: Path) -> None:
    around = Around(tmp_path)
    for number in range(40):
        around.put("event", b"%02d" % number * 50)
    around.commit()
    (segment,) = around.files()
    content = segment.read_bytes()
    segment.write_bytes(content[:1000] + bytes(1000) + content[2000:])
    around.after_a_power_cut()
    kept = around.take_all()
    assert len(kept) >= 40 - 2 - 1000 // 130
    assert kept[0] == b"00" * 50
    assert kept[-1] == b"39" * 50


def test_a_torn_end_is_no_damage(tmp_path: Path) -> None:
    around = Around(tmp_path)
    around.put("event", b"whole")
    around.commit()
    (segment,) = around.files()
    with segment.open("ab") as torn:
        torn.write(b"half a rec")
    around.after_a_power_cut()
    around.put("event", b"later")
    around.commit()
    around.after_a_power_cut()
    assert around.take_all() == [b"whole", b"later"]
    around.spool.turn()
    assert around.spool.faults() == []


def test_a_spool_whose_folder_cannot_be_made_works_from_memory(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file in its place")
    around = Around(tmp_path)
    around.put("event", b"x")
    assert "in memory" in around.spool.faults()[0]
    assert around.take_all() == [b"x"]
    (tmp_path / "spool").unlink()
    around.clock.advance(RETRY_S)
    around.commit()
    around.after_a_power_cut()
    assert around.take_all() == [b"x"]


def test_memory_is_bounded_while_the_disk_refuses(tmp_path: Path) -> None:
    disk = FailingDisk()
    around = Around(tmp_path, disk=disk)
    disk.number = errno.ENOSPC
    alerts = [around.put("alert", b"a" * 1_000) for _ in range(10)]
    for _ in range(1_000):
        around.put("result", b"x" * 10_000)
    taken = around.take_all()
    assert sum(map(len, taken)) <= 2 << 20
    assert sum(payload.startswith(b"a") for payload in taken) == len(alerts)
    assert around.spool.dropped["result"] == 1_000 - len(taken) + len(alerts)


# Thinning


def header(seq: int, boot_id: str = "c0ffeec0ffee") -> Header:
    return Header(1, "pi", telemetry.iso_time(1.7e9 + 60.0 * seq), boot_id, seq)


def minute(seq: int, chance: random.Random, boot_id: str = "c0ffeec0ffee") -> tuple[bytes, HistogramData]:
    """Return a minute's metrics, and the histogram that is in them."""
    body, data = figures(seq, chance)
    return encode(header(seq, boot_id), body), data


def figures(seq: int, chance: random.Random) -> tuple[Metrics, HistogramData]:
    """Return what is told of a minute, and the histogram that is in it."""
    collected = Histogram()
    for _ in range(120):
        collected.add(round(6.7e6 * chance.lognormvariate(0, 0.25)))
    data = collected.drain()
    told = assemble(
        60.0 * seq,
        60.0,
        system={"cpu_pct": 20.0, "temperature_c": 50.0 + seq % 2},
        agent={"messages_dropped": seq},
        processes={"worker": {"rss_mb": 60.0}},
        pipelines={"cam": {"frames_in": 120 * seq, "latency_ms": {"invoke": data}}},
    )
    return told, data


def told(payload: bytes) -> Latency:
    latency = msgspec.json.decode(payload, type=Metrics).pipelines["cam"]["latency_ms"]
    assert isinstance(latency, dict)
    invoke = latency["invoke"]
    assert isinstance(invoke, Latency)
    return invoke


def records(*payloads: bytes) -> list[Record]:
    return [Record(number, "metrics", 0.0, "metrics", payload) for number, payload in enumerate(payloads, start=1)]


def test_two_minutes_become_one_message_of_two_minutes() -> None:
    chance = random.Random(0)  # noqa: S311 - repeatable test data
    (first, one), (second, other) = minute(1, chance), minute(2, chance)
    (thinned,) = thinner(records(first, second))
    body = msgspec.json.decode(thinned.payload, type=Metrics)
    assert (thinned.number, body.interval_s) == (2, 120.0)
    assert body.system["temperature_c"] == 50.5
    assert body.pipelines["cam"]["frames_in"] == 240
    assert msgspec.json.decode(thinned.payload, type=Header).seq == 2
    assert quantile(histogram(told(thinned.payload)), 0.95) == pytest.approx(quantile(merge(one, other), 0.95))


def test_two_starts_of_the_agent_are_never_thinned_to_one() -> None:
    chance = random.Random(0)  # noqa: S311 - repeatable test data
    assert len(thinner(records(minute(1, chance)[0], minute(2, chance, "another")[0]))) == 2


def test_what_is_no_metrics_message_stays_as_it_is() -> None:
    strange = records(b"{}", b"not json", minute(1, random.Random(0))[0])  # noqa: S311 - repeatable test data
    assert thinner(strange) == strange


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_thirty_days_without_a_broker_stay_within_the_bound_and_lose_no_alert(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311 - repeatable test data
    around = Around(tmp_path, limit_bytes=8_000_000, disk=HastyDisk())
    minutes = [figures(seq, chance) for seq in range(500)]
    whole = HistogramData()
    largest = 0
    for seq in range(30 * DAY_S // 60):
        body, data = minutes[seq % len(minutes)]
        whole = merge(whole, data)
        around.put("metrics", encode(header(seq), body))
        if seq % 100 == 0:
            around.put("alert", f"alert {seq}".encode())
        around.put("result", b"{}" + b" " * 300)
        around.clock.advance(60)
        around.spool.turn()
        largest = max(largest, around.spool.size_bytes)
    around.after_a_kill()
    taken = around.take_all()
    alerts = [payload for payload in taken if payload.startswith(b"alert")]
    metrics = [payload for payload in taken if b'"pipelines"' in payload]
    thinned = HistogramData()
    for payload in metrics:
        thinned = merge(thinned, histogram(told(payload)))
    days = sum(msgspec.json.decode(payload, type=Metrics).interval_s for payload in metrics) / DAY_S
    assert largest <= 8_000_000
    assert len(alerts) == 432
    assert days == pytest.approx(30)
    assert thinned.count == whole.count
    for share in (0.5, 0.95, 0.99):
        assert quantile(thinned, share) == pytest.approx(quantile(whole, share), rel=0.01)
