"""The label log: appended to, private, bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd.control.commands.label_log import FILE, MOST_BYTES, OLD_FILE, LabelLog
from inferd.errors import StoreError
from inferd.wire.requests import LabelArguments

SAID = LabelArguments("cam", "cat", boot_id="b", seq=7)


def test_a_label_is_a_line_that_only_our_user_may_read(tmp_path: Path) -> None:
    log = LabelLog(tmp_path)
    log.append("2026-12-01T00:00:00.000Z", SAID)
    log.append("2026-12-01T00:00:01.000Z", LabelArguments("cam", "", sample="1.png"))
    lines = (tmp_path / FILE).read_text().splitlines()
    assert [line[:34] for line in lines] == [
        '{"time":"2026-12-01T00:00:00.000Z"',
        '{"time":"2026-12-01T00:00:01.000Z"',
    ]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_label_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="boot_id and seq, or a sample"):
        LabelLog(tmp_path).append("now", LabelArguments("cam", "cat"))
    assert not (tmp_path / FILE).exists()


def test_the_log_keeps_to_its_bound_and_loses_the_oldest(tmp_path: Path) -> None:
    log, label = LabelLog(tmp_path), LabelArguments("cam", "c" * 100, boot_id="b" * 64, seq=7)
    for number in range(2 * MOST_BYTES // 200):
        log.append(str(number), label)
    sizes = [(tmp_path / name).stat().st_size for name in (FILE, OLD_FILE)]
    assert max(sizes) <= MOST_BYTES
    assert str(2 * MOST_BYTES // 200 - 1) in (tmp_path / FILE).read_text().splitlines()[-1]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("precious")
    (tmp_path / FILE).symlink_to(tmp_path / "other")
    with pytest.raises(StoreError):
        LabelLog(tmp_path).append("now", SAID)
    assert (tmp_path / "other").read_text() == "precious"
