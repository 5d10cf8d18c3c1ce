from __future__ import annotations

import random
from functools import reduce
from math import ceil

import msgspec
import pytest

from inferd.histogram import Histogram, HistogramData, coarsen, from_runs, merge, quantile, to_runs

QUANTILES = (0.01, 0.5, 0.9, 0.95, 0.99, 1.0)


def histogram_of(values_ns: list[int]) -> HistogramData:
    histogram = Histogram()
    for value_ns in values_ns:
        histogram.add(value_ns)
    return histogram.drain()


def latencies(seed: int, size: int) -> list[int]:
    """Return `size` durations in ns around a random typical one, with a tail, as a loop's stages give them."""
    chance = random.Random(seed)  # noqa: S311 - repeatable test data
    typical_ns = 10 ** chance.uniform(3, 9)
    spread = chance.uniform(0.01, 1.5)
    return [max(1, round(typical_ns * chance.lognormvariate(0, spread))) for _ in range(size)]


def nearest_rank_ms(values_ns: list[int], q: float) -> float:
    return sorted(values_ns)[max(1, ceil(q * len(values_ns))) - 1] / 1e6


@pytest.mark.parametrize("seed", range(60))
def test_merged_histograms_give_the_percentiles_of_the_union_within_one_percent(seed: int) -> None:
    one, other = latencies(seed, 700), latencies(seed + 1000, 1 + seed * 13)
    merged = merge(histogram_of(one), histogram_of(other))
    for q in QUANTILES:
        assert quantile(merged, q) == pytest.approx(nearest_rank_ms(one + other, q), rel=0.0055)


def test_a_merged_histogram_is_the_histogram_of_the_union() -> None:
    one, other = latencies(1, 500), latencies(2, 500)
    merged, union = merge(histogram_of(one), histogram_of(other)), histogram_of(one + other)
    assert msgspec.structs.replace(merged, sum=union.sum) == union
    assert merged.sum == pytest.approx(union.sum)


def test_the_order_of_merging_does_not_matter() -> None:
    parts = [histogram_of(latencies(seed, 100)) for seed in range(8)]
    forwards, backwards = reduce(merge, parts), reduce(merge, reversed(parts))
    assert (forwards.index, forwards.counts) == (backwards.index, backwards.counts)


def test_count_sum_min_and_max_are_exact() -> None:
    data = histogram_of([1_000_000, 3_000_000, 2_500_000])
    assert (data.count, data.sum, data.min, data.max) == (3, 6.5, 1.0, 3.0)


def test_zero_is_counted_apart() -> None:
    data = histogram_of([0, 0, 0, 5_000_000])
    assert (data.count, data.zero_count, data.min) == (4, 3, 0.0)
    assert quantile(data, 0.5) == 0.0
    assert quantile(data, 0.99) == pytest.approx(5.0, rel=0.0055)


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert quantile(Histogram().drain(), 0.5) is None


def test_merging_with_an_empty_histogram_changes_nothing() -> None:
    data, empty = histogram_of([7, 8]), HistogramData()
    assert merge(data, empty) == merge(empty, data) == data


def test_a_drained_histogram_is_empty() -> None:
    histogram = Histogram()
    histogram.add(5)
    histogram.drain()
    assert histogram.drain() == HistogramData()


def test_coarsening_keeps_the_values_and_doubles_the_error() -> None:
    values_ns = latencies(5, 1000)
    coarse = coarsen(histogram_of(values_ns))
    assert (sum(coarse.counts), coarse.scale) == (1000, 5)
    assert quantile(coarse, 0.95) == pytest.approx(nearest_rank_ms(values_ns, 0.95), rel=0.011)


def test_histograms_of_different_scales_merge() -> None:
    one, other = latencies(6, 400), latencies(7, 400)
    merged = merge(coarsen(coarsen(histogram_of(one))), histogram_of(other))
    assert (merged.count, merged.scale) == (800, 4)
    assert quantile(merged, 0.5) == pytest.approx(nearest_rank_ms(one + other, 0.5), rel=0.022)


def test_it_crosses_processes_as_it_is() -> None:
    data = histogram_of(latencies(3, 50))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(data), type=HistogramData) == data


@pytest.mark.parametrize("seed", range(10))
def test_runs_of_counts_are_the_same_buckets(seed: int) -> None:
    data = histogram_of(latencies(seed, 200))
    assert from_runs(*to_runs(data)) == (data.index, data.counts)


def test_runs_tell_empty_buckets_by_a_negative_number() -> None:
    assert to_runs(HistogramData(index=(-3, -2, 5), counts=(4, 1, 9))) == (-3, [4, 1, -6, 9])
