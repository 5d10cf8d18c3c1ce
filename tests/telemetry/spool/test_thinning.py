"""How two segments become one, so that a power cut at any step leaves either both or the one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fixtures.disks.append_power_cut import Gone, GrowingDisk, Named, Synced
from inferd.telemetry.spool.record_codec import Record
from inferd.telemetry.spool.segments import Segments


def test_the_younger_segment_is_surely_gone_before_the_older_one_goes(tmp_path: Path) -> None:
    disk = GrowingDisk(tmp_path)
    segments = Segments(tmp_path / "spool", 200, disk)
    for number in range(1, 10):
        segments.append([Record(number, "metrics", 0.0, "metrics", b"x" * 150)])
    files, before = sorted((tmp_path / "spool" / "metrics").iterdir())[:2], len(disk.calls)
    assert segments.thin("metrics", 0, lambda records: list(records[-1:]), 3)
    calls = disk.calls[before:]
    young, old = calls.index(Gone(files[1])), calls.index(Gone(files[0]))
    assert any(isinstance(call, Named) for call in calls[:young])
    assert Synced(tmp_path / "spool" / "metrics") in calls[young:old]


def filled(folder: Path, count: int) -> Segments:
    segments = Segments(folder / "spool", 200)
    for number in range(1, count + 1):
        segments.append([Record(number, "metrics", 0.0, "metrics", b"x" * 150)])
    return segments


def newest(records: Sequence[Record]) -> list[Record]:
    return list(records[-1:])


def levels(folder: Path) -> list[int]:
    """Return how often the content of each segment was thinned, oldest first."""
    return [int(file.stem[-1]) for file in sorted((folder / "spool" / "metrics").iterdir())]


def test_a_lane_without_two_finished_segments_is_not_thinned(tmp_path: Path) -> None:
    assert not filled(tmp_path, 2).thin("metrics", 0, newest, 3)


def test_segments_above_a_number_only_are_thinned(tmp_path: Path) -> None:
    segments = filled(tmp_path, 9)
    assert not segments.thin("metrics", 9, newest, 3)
    assert segments.thin("metrics", 0, newest, 3)


def test_nothing_is_thinned_more_often_than_it_may_be(tmp_path: Path) -> None:
    segments = filled(tmp_path, 9)
    while segments.thin("metrics", 0, newest, 2):
        pass
    assert max(levels(tmp_path)) == 2
    assert Segments(tmp_path / "spool", 200).after(0, 100)


def test_a_segment_that_begins_with_the_number_given_is_being_read_and_not_thinned(tmp_path: Path) -> None:
    segments = filled(tmp_path, 9)
    *_, last_pair, _, _ = sorted((tmp_path / "spool" / "metrics").iterdir())
    first = int(last_pair.stem[:-2], 16)
    assert not segments.thin("metrics", first, newest, 3)
    assert segments.thin("metrics", first - 1, newest, 3)


def test_damage_in_a_segment_that_is_thinned_is_still_reported(tmp_path: Path) -> None:
    filled(tmp_path, 9).close()
    oldest = min((tmp_path / "spool" / "metrics").iterdir())
    content = bytearray(oldest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    oldest.write_bytes(content)
    segments = Segments(tmp_path / "spool", 200)
    assert segments.thin("metrics", 0, newest, 3)
    assert [(lane, path.name) for lane, path, _ in segments.damage()] == [("metrics", oldest.name)]
