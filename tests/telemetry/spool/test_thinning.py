"""How two segments become one, so that a power cut at any step leaves either both or the one."""

from __future__ import annotations

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
