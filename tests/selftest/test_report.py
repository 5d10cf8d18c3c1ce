from __future__ import annotations

import msgspec

from inferd.selftest.report import (
    SCHEMA_VERSION,
    AgentMeasurement,
    Board,
    EngineTiming,
    SelftestReport,
    SustainedLoad,
    lines,
    row,
)

BOARD = Board(
    "Raspberry Pi 4 Model B Rev 1.4", "", "aarch64", 4, 3976.0, "Debian GNU/Linux 12", "6.1", "3.11.2", "0.1.0"
)
CPU = EngineTiming("cpu, 1 thread", "ai-edge-litert 2.3.0", 2.0, 0.5, 0.25, 0.5, 1000, 11, 8)
AGENT = AgentMeasurement(1.5, 200.0, 3, 0.02, 0.75, 3)


def report(**changes: object) -> SelftestReport:
    whole = SelftestReport(
        SCHEMA_VERSION,
        "2026-11-22T12:00:00+00:00",
        BOARD,
        {"ai-edge-litert": "2.3.0", "onnxruntime": None},
        [CPU, EngineTiming("edgetpu", why="no Edge TPU is connected")],
        {"temperature_c": 48.3, "power_w": "none: there is no power meter"},
        SustainedLoad(180.0, 48.0, 71.0, 1500.0, 1500.0, 0.0, 0.25, 0.26),
        AGENT,
    )
    return msgspec.structs.replace(whole, **changes)


def test_a_row_has_as_many_cells_as_the_table_of_boards() -> None:
    assert row(report()) == (
        "| Raspberry Pi 4 Model B Rev 1.4 | aarch64, Debian GNU/Linux 12, Python 3.11.2 | ai-edge-litert 2.3.0 "
        "| 0.250 / 0.500 | 200 | 0.02 | 0.75 | 71 | - | `inferd selftest` 0.1.0 |"
    )


def test_power_in_a_row_is_what_the_meter_read() -> None:
    assert "| 3.4 |" in row(report(meters={"power_w.measured": 3.41}))


def test_a_meter_that_is_missing_says_why() -> None:
    assert "  power_w               none: there is no power meter" in list(lines(report()))


def test_what_the_board_cannot_tell_is_named_and_not_dashed() -> None:
    (told,) = [
        line for line in lines(report(heat=SustainedLoad(180.0, first_ms=0.25, last_ms=0.26))) if "at first" in line
    ]
    assert told == "  inference 0.250 ms at first, 0.260 ms at last; not known here: temperature, clock, throttling"


def test_a_machine_without_a_board_name_is_called_by_its_processor_and_cores() -> None:
    board = msgspec.structs.replace(BOARD, name=None, processor="Some CPU @ 2 GHz")
    assert row(report(board=board)).startswith("| Some CPU @ 2 GHz, 4 cores | aarch64")


def test_the_last_line_is_the_verdict() -> None:
    assert list(lines(report()))[-1].startswith("Passed: ")
    assert list(lines(report(agent=AgentMeasurement(why="it died"))))[-1] == "FAILED: it died"


def test_a_runtime_that_is_missing_is_told() -> None:
    assert "  onnxruntime             not installed" in list(lines(report()))


def test_an_accelerator_that_is_missing_fails_nothing() -> None:
    assert report().passed


def test_an_agent_that_did_not_come_back_fails() -> None:
    told = report(agent=AgentMeasurement(why="the agent: it did not start another worker in 120 s"))
    assert not told.passed
    assert any("did not start another worker" in line for line in lines(told))


def test_no_model_that_runs_fails_and_still_gives_a_row() -> None:
    told = report(
        timed=[EngineTiming("cpu, 1 thread", why="no runtime")], heat=SustainedLoad(1.0), agent=AgentMeasurement()
    )
    assert not told.passed
    assert "| none runs | - |" in row(told)


def test_a_report_comes_back_as_it_was_written() -> None:
    assert msgspec.json.decode(msgspec.json.encode(report()), type=SelftestReport) == report()
