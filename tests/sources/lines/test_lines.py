from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.network.cameras import printing
from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.records import Array
from inferd.sources.lines.source import TextLines
from inferd.sources.lines.text_rows import RowReader
from inferd.system.clock import SystemClock

PATIENT_S = 5.0


def all_of(source: TextLines) -> list[Array]:
    """Return the windows of a source to its end."""
    windows = []
    with closing(source):
        while True:
            try:
                windows.append(np.asarray(source.read(PATIENT_S).data))
            except EndOfInput:
                return windows


def lines(**options: object) -> TextLines:
    return TextLines(settings.LinesSource(**options), SystemClock())  # type: ignore[arg-type]  # right keys


def test_columns_are_found_by_the_names_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,x,y\n0,1,2\n1,3,4\n")
    windows = all_of(lines(path=str(tmp_path / "a.csv"), columns=("y", "x"), window=2))
    assert [window.tolist() for window in windows] == [[[2, 1], [4, 3]]]


def test_json_lines_are_read_by_their_keys(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": 1, "y": null}\n\n{"y": 4}\n')
    windows = all_of(lines(path=str(tmp_path / "a.jsonl"), format="jsonl", columns=("x", "y")))
    assert np.array_equal(np.concatenate(windows), [[1, np.nan], [np.nan, 4]], equal_nan=True)


def test_what_is_missing_stays_missing_and_shifts_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,c\n1,,3\n1,oops,3\n1,2,\n1,2\n1,,3\n")
    source = lines(path=str(tmp_path / "a.csv"))
    with closing(source):
        assert np.isnan(np.asarray(source.read(1).data)).tolist() == [[False, True, False]]
        assert np.isnan(np.asarray(source.read(1).data)).tolist() == [[False, True, False]]
        assert np.isnan(np.asarray(source.read(1).data)).tolist() == [[False, False, True]]
        with pytest.raises(FrameError, match="line 5 has 2 values, not 3"):
            source.read(1)
        assert np.isnan(np.asarray(source.read(1).data)).tolist() == [[False, True, False]]


def test_the_end_of_a_last_window_of_readings_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n2\n3\n")
    windows = all_of(lines(path=str(tmp_path / "a.csv"), window=2))
    assert np.isnan(windows[1]).tolist() == [[False], [True]]


def test_a_file_that_is_something_else_is_a_lost_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe not json\n" * 200)
    source = lines(path=str(tmp_path / "a.jsonl"), format="jsonl")
    with closing(source):
        for _ in range(99):
            with pytest.raises(FrameError):
                source.read(1)
        with pytest.raises(SourceError, match="100 in a row; check its format"):
            source.read(1)


def test_a_column_that_does_not_exist_is_named_with_those_that_do() -> None:
    rows = RowReader("a.csv", "csv", ("z",))
    rows.feed("x,y")
    rows.feed("1,2")
    rows.feed("1,2")
    assert rows.pop() is None
    with pytest.raises(SourceError, match="has no column 'z'; there are x, y"):
        rows.feed("3,4")


def test_lines_that_a_program_prints_become_windows() -> None:
    source = lines(command=printing("for i in range(6): out(b'%d,%d\\n' % (i, -i))"), window=3, hop=3, finite=True)
    assert [window[:, 0].tolist() for window in all_of(source)] == [[0, 1, 2], [3, 4, 5]]


def test_a_program_of_lines_that_dies_is_told() -> None:
    with closing(lines(command=printing("out(b'1\\n2\\n3\\n'); err('i2c: no answer'); sys.exit(1)"))) as source:
        for _ in range(3):
            source.read(PATIENT_S)
        with pytest.raises(SourceError, match="exit code 1; its last output: i2c: no answer"):
            source.read(PATIENT_S)


def test_slow_lines_keep_a_source_alive() -> None:
    with (
        closing(lines(command=printing("out(b'1\\n'); sleep(60)"), window=5)) as source,
        pytest.raises(FrameUnfinished),
    ):
        source.read(1.0)


def readings(*lines: str, kind: str = "csv", columns: tuple[str, ...] = ()) -> tuple[list[list[float]], list[str]]:
    """Return the readings of these lines, and what was wrong with some."""
    rows, found, faults = RowReader("port", kind, columns), list[list[float]](), list[str]()
    for feed in (*((lambda line=line: rows.feed(line)) for line in lines), rows.finish):
        try:
            feed()
        except FrameError as exc:
            faults.append(str(exc))
        while (reading := rows.pop()) is not None:
            found.append(reading)
    return found, faults


def test_a_banner_does_not_decide_how_many_columns_there_are() -> None:
    found, faults = readings("Arduino Uno ready", "MPU6050, v1.2", "1.0", "1,2,3", "4,5,6", "7,8,9", "10,11,12")
    assert found == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    assert faults == ["port: line 1 and 2 more are unlike the other readings"]


def test_a_first_object_without_readings_does_not_decide_the_keys() -> None:
    told = ('{"status": "ready"}', '{"x": 1, "y": 2}', '{"x": 3, "y": 4}', '{"y": 6, "x": 5}')
    assert readings(*told, kind="jsonl")[0] == [[1, 2], [3, 4], [5, 6]]


def test_named_columns_are_taken_from_the_line_that_names_them() -> None:
    found, _ = readings("boot, ok", "x,y", "1,2", columns=("y",))
    assert found == [[2]]


def test_a_short_file_is_decided_by_what_it_has() -> None:
    assert readings("1,2")[0] == [[1, 2]]
    assert readings("a,b", "1,2")[0] == [[1, 2]]


@given(st.lists(st.text("abc ,;:{}[]\"'\x00\u00e4", max_size=30), max_size=10))
def test_whatever_comes_first_three_readings_of_one_width_are_read(banner: list[str]) -> None:
    found, _ = readings(*banner, *(["1,2,3,4,5,6,7"] * 30))
    assert [1, 2, 3, 4, 5, 6, 7] in found[-20:]


@contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    """Give the master of a pseudo-terminal and the path of its other end."""
    master, slave = os.openpty()
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(slave)
        os.close(master)


def test_lines_of_a_serial_port_are_read_from_the_next_whole_one() -> None:
    with terminal() as (master, path), closing(lines(path=path, baud=115200)) as source:
        assert source.live
        with pytest.raises(SourceTimeout):
            source.read(0.05)
        os.write(master, b"5,6\n1,2\r\n3,4\r\n5,6\r\n")
        assert [np.asarray(source.read(PATIENT_S).data).tolist() for _ in range(3)] == [[[1, 2]], [[3, 4]], [[5, 6]]]


def test_bytes_of_a_port_are_not_changed_by_the_terminal() -> None:
    with terminal() as (master, path), closing(lines(path=path)) as source:
        os.write(master, b"x\n" + b"1,\x03\x04,2\n" * 3)
        assert np.asarray(source.read(PATIENT_S).data)[0, ::2].tolist() == [1, 2]


def test_a_port_that_goes_away_is_a_lost_source() -> None:
    master, slave = os.openpty()
    with closing(lines(path=os.ttyname(slave))) as source:
        os.close(slave)
        os.close(master)
        with pytest.raises(SourceError, match="has been unplugged"):
            source.read(PATIENT_S)


def test_a_baud_rate_that_there_is_not_is_told_with_those_that_are() -> None:
    with terminal() as (_, path), pytest.raises(SourceError, match=r"no baud rate of 12345; there are 1200, .* 115200"):
        lines(path=path, baud=12345)


def test_writers_of_a_fifo_may_come_and_go(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with closing(lines(path=str(tmp_path / "fifo"))) as source:
        with pytest.raises(SourceTimeout):
            source.read(0.05)
        for numbers in ((1, 2, 3), (4, 5)):
            text = "".join(f"{number}\n" for number in numbers)
            writer = threading.Thread(target=(tmp_path / "fifo").write_text, args=(text,))
            writer.start()
            assert [np.asarray(source.read(PATIENT_S).data).item() for _ in numbers] == list(numbers)
            writer.join()


@pytest.mark.parametrize(
    ("path", "told"), [("/dev/null", "gives no lines"), ("/dev", "is a folder"), ("/nowhere", "no such file")]
)
def test_what_gives_no_lines_is_told(path: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        lines(path=path)
