"""Vectors, anomaly scores, named numbers, and means over frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fixtures.models.descriptions import describe, engine_info
from inferd.errors import ModelError
from inferd.plugins import Task, WatchesInput
from inferd.records import Array, Geometry, Label, Result, TensorSpec, Value
from inferd.tasks.anomaly import build as anomaly
from inferd.tasks.classify import Classify
from inferd.tasks.embed import Embed
from inferd.tasks.regress import Regress
from inferd.tasks.rules.moving_average import Average
from inferd.wire.manifest import OutputSection

ROW = TensorSpec("y", (1, 4), "float32")
BYTES = TensorSpec("y", (1, 4), "uint8", scale=0.5, zero_point=10)


def row(*values: float) -> Array:
    return np.array([values], np.float32)


def read(task: Task, output: Array, went_in: Array | None = None) -> Result:
    if went_in is not None:
        assert isinstance(task, WatchesInput)
        task.watch([went_in])
        went_in[...] = 99.0  # the runtime may use this memory for something else
    return task.decode([output], Geometry())


def test_an_embedding_is_the_real_numbers_of_the_output() -> None:
    task = Embed(describe(), engine_info([], [BYTES]))
    assert read(task, np.array([[10, 12, 8, 10]], np.uint8)).embedding == (0.0, 1.0, -1.0, 0.0)


def test_a_normalised_embedding_has_the_length_one() -> None:
    task = Embed(describe(None, OutputSection(normalize=True)), engine_info([], [ROW]))
    assert read(task, row(3, 0, 4, 0)).embedding == pytest.approx((0.6, 0.0, 0.8, 0.0))
    assert read(task, row(0, 0, 0, 0)).embedding == (0.0,) * 4


def rebuilding(**said: object) -> Task:
    return anomaly(describe(None, OutputSection(**said)), engine_info([ROW], [BYTES]))  # type: ignore[arg-type]  # by name


def test_a_reconstruction_is_scored_by_the_mean_square_of_what_is_missing() -> None:
    result = read(rebuilding(), np.array([[10, 10, 10, 12]], np.uint8), row(2, 0, 0, 1))
    assert result == Result(score=1.0)


def test_a_limit_makes_a_verdict_of_a_score() -> None:
    rebuilt = np.full((1, 4), 10, np.uint8)
    assert read(rebuilding(limit=3.0), rebuilt, row(2, 0, 0, 0)).labels == (Label(0, "normal", 0.75),)
    assert read(rebuilding(limit=1.0), rebuilt, row(3, 0, 0, 0)).labels == (Label(1, "anomaly", 2.25 / 3.25),)


def test_what_is_not_finite_is_an_anomaly() -> None:
    result = read(rebuilding(limit=1.0), np.full((1, 4), 10, np.uint8), row(np.nan, 0, 0, 0))
    assert result.labels == (Label(1, "anomaly", 1.0),)


def test_an_autoencoder_gives_as_many_values_as_it_takes() -> None:
    with pytest.raises(ModelError, match="gives as many as it takes"):
        anomaly(describe(), engine_info([TensorSpec("x", (1, 5), "float32")], [ROW]))


def test_with_a_reference_the_distance_from_it_is_the_score() -> None:
    task = anomaly(describe(None, OutputSection(reference=(0, 3, 0, 0))), engine_info([], [ROW]))
    assert read(task, row(4, 0, 0, 0)).score == pytest.approx(5.0)


def test_a_distance_of_normalised_vectors_knows_no_length() -> None:
    said = OutputSection(reference=(0, 3, 0, 0), normalize=True)
    assert read(anomaly(describe(None, said), engine_info([], [ROW])), row(0, 70, 0, 0)).score == pytest.approx(0.0)


def test_a_reference_of_another_length_is_refused() -> None:
    with pytest.raises(ModelError, match=r"output\.reference has 2"):
        anomaly(describe(None, OutputSection(reference=(0, 3))), engine_info([], [ROW]))


def regression(labels: Sequence[str] = (), **said: object) -> Regress:
    return Regress(describe(None, OutputSection(**said), labels), engine_info([], [ROW]))  # type: ignore[arg-type]  # by name


def test_a_regression_has_names_and_units() -> None:
    task = regression(("a", "b", "c", "d"), scale=(2.0,), offset=(1.0, 0.0, 0.0, 0.0), units=("m", "m", "s", "s"))
    values = read(task, row(1, 2, 3, 4)).values
    assert values == (Value("a", 3.0, "m"), Value("b", 4.0, "m"), Value("c", 6.0, "s"), Value("d", 8.0, "s"))


def test_one_unit_is_that_of_all_values() -> None:
    values = read(regression(units=("K",)), row(1, 2, 3, 4)).values
    assert values is not None
    assert {value.unit for value in values} == {"K"}


def test_too_few_factors_are_refused() -> None:
    with pytest.raises(ModelError, match=r"output\.scale has 2 entries for 4 values"):
        regression(scale=(1.0, 2.0))


def test_a_mean_over_two_frames_forgets_the_third() -> None:
    mean = Average(2)
    assert [mean(np.array([value], np.float32))[0] for value in (0, 4, 8)] == [0, 2, 6]


def test_a_mean_over_all_frames_forgets_nothing() -> None:
    mean = Average(0)
    assert [mean(np.array([value], np.float32))[0] for value in (0, 4, 8)] == [0, 2, 4]


def test_a_classifier_averages_scores_before_it_chooses() -> None:
    task = Classify(describe(None, OutputSection(average=2, top_k=1)), engine_info([], [ROW]))
    read(task, row(0.9, 0.1, 0.0, 0.0))
    labels = read(task, row(0.0, 0.6, 0.4, 0.0)).labels
    assert labels is not None
    assert labels[0].score == pytest.approx(0.45)
