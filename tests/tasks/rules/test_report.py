from __future__ import annotations

from collections.abc import Sequence

from inferd.config.settings import ReportConfig
from inferd.records import Box, Label, LabelSummary, LineCount, OutputTensor, Result, ZoneCount
from inferd.tasks.rules.report import Reporter

MS = 1_000_000


def top(name: str, score: float = 0.9) -> Result:
    return Result(labels=(Label(0, name, score),))


def seen(*names: str, score: float = 0.9) -> Result:
    return Result(boxes=tuple(Box(0, name, score, (0.0, 0.0, 1.0, 1.0)) for name in names))


def reports(rules: ReportConfig, results: Sequence[Result], every_ms: float = 1000.0) -> list[bool]:
    reporter = Reporter(rules)
    return [reporter.judge(result, round(n * every_ms * MS)).report for n, result in enumerate(results)]


def answers(rules: ReportConfig, results: Sequence[Result]) -> list[LabelSummary | None]:
    reporter = Reporter(rules)
    return [reporter.judge(result, n * 1000 * MS).settled for n, result in enumerate(results)]


def settled(rules: ReportConfig, results: Sequence[Result]) -> list[dict[str, int] | None]:
    return [None if answer is None else answer.counts for answer in answers(rules, results)]


CHANGE = ReportConfig(when="change", hold=2, window=3)


def test_every_result_leaves_where_nothing_else_is_said() -> None:
    assert reports(ReportConfig(), [top("cat")] * 3) == [True] * 3


def test_no_more_than_so_many_leave_in_a_second() -> None:
    assert sum(reports(ReportConfig(max_per_s=5.0), [top("cat")] * 300, every_ms=1000 / 30)) in (50, 51)


def test_a_source_at_the_very_rate_loses_nothing_to_its_jitter() -> None:
    reporter = Reporter(ReportConfig(max_per_s=10.0))
    times_ms = [n * 100 + (-9, 9, 0, 5, -5)[n % 5] for n in range(1, 101)]
    assert all(reporter.judge(top("cat"), time_ms * MS).report for time_ms in times_ms)


def test_a_pause_saves_up_no_burst() -> None:
    reporter = Reporter(ReportConfig(max_per_s=1.0))
    reporter.judge(top("cat"), 0)
    late = [reporter.judge(top("cat"), (60_000 + n * 10) * MS).report for n in range(3)]
    assert late == [True, False, False]


def test_zero_is_without_limit() -> None:
    assert all(reports(ReportConfig(max_per_s=0.0), [top("cat")] * 100, every_ms=0.001))


def test_unsure_results_do_not_leave() -> None:
    results = [top("cat", 0.4), top("cat", 0.6), seen(), seen("dog", score=0.5)]
    assert reports(ReportConfig(min_score=0.5), results) == [False, True, False, True]


def test_only_a_changed_answer_leaves_once_enough_agree() -> None:
    results = [top(name) for name in ("cat", "cat", "cat", "dog", "cat", "dog", "dog", "dog")]
    assert reports(CHANGE, results) == [False, True, False, False, False, True, False, False]


def test_the_settled_answer_is_told_when_it_changes() -> None:
    results = [top(name) for name in ("cat", "cat", "dog", "dog")]
    assert settled(ReportConfig(hold=2, window=3), results) == [None, {"cat": 1}, None, {"dog": 1}]


def test_objects_are_counted_by_label_whatever_their_order() -> None:
    results = [seen("cat", "dog", "cat"), seen("dog", "cat", "cat")]
    assert settled(CHANGE, results) == [None, {"cat": 2, "dog": 1}]


def test_that_nothing_is_left_is_an_answer_too() -> None:
    assert settled(CHANGE, [seen("cat"), seen("cat"), seen(), seen()]) == [None, {"cat": 1}, None, {}]


def test_unsure_objects_do_not_count_in_the_answer() -> None:
    rules = ReportConfig(when="change", hold=1, window=1, min_score=0.5)
    assert settled(rules, [seen("cat", score=0.4)]) == [{}]


def test_a_change_that_the_rate_holds_back_leaves_later() -> None:
    rules = ReportConfig(when="change", hold=1, window=1, max_per_s=1.0)
    results = [top("cat"), top("dog"), top("dog"), top("dog"), top("dog")]
    assert reports(rules, results, every_ms=400.0) == [True, False, True, False, False]


def test_raw_outputs_always_count_as_changed() -> None:
    raw = Result(outputs=(OutputTensor("x", (1,), "uint8", [1]),))
    assert reports(CHANGE, [raw] * 3) == [True] * 3


def test_more_agreement_than_the_window_can_hold_means_all_of_it() -> None:
    assert reports(ReportConfig(when="change", hold=9, window=2), [top("cat")] * 3) == [False, True, False]


def zoned(count: int, crossed: int = 0) -> Result:
    zones = {"door": ZoneCount(count, {}, 0, 0, 0.0)}
    return Result(boxes=seen("cat", "cat").boxes, zones=zones, lines={"gate": LineCount(crossed, 0)})


def test_who_is_in_a_zone_settles_with_what_is_seen() -> None:
    found = answers(CHANGE, [zoned(1), zoned(1), zoned(2), zoned(1), zoned(2)])
    assert [answer and answer.zones for answer in found] == [None, {"door": 1}, None, None, {"door": 2}]


def test_a_crossed_line_is_told_at_once() -> None:
    rules = ReportConfig(when="change", hold=2, window=3, max_per_s=0)
    found = answers(rules, [zoned(1), zoned(1), zoned(1, crossed=1), zoned(1, crossed=1)])
    assert [answer and answer.lines["gate"].in_ for answer in found] == [None, 0, 1, None]
    assert reports(rules, [zoned(1), zoned(1), zoned(1, crossed=1), zoned(1, crossed=1)]) == [False, True, True, False]


def test_outside_of_its_schedule_nothing_leaves_and_nothing_is_there() -> None:
    reporter = Reporter(ReportConfig(hold=1, window=1))
    reporter.judge(top("cat"), 0)
    closed = [reporter.judge(top("cat"), n * 1000 * MS, counts=False) for n in (1, 2)]
    assert [verdict.report for verdict in closed] == [False, False]
    assert [verdict.settled for verdict in closed] == [LabelSummary({}), None]


def test_never_lets_nothing_leave_and_settles_all_the_same() -> None:
    rules = ReportConfig(when="never", hold=1, window=1)
    assert reports(rules, [top("cat")] * 3) == [False] * 3
    assert settled(rules, [top("cat")] * 2) == [{"cat": 1}, None]
