from __future__ import annotations

import numpy as np
import pytest

from fixtures.models.descriptions import describe, engine_info
from inferd.errors import ModelError
from inferd.records import Array, Geometry, Label, TensorSpec
from inferd.tasks.classify import Classify
from inferd.wire.manifest import OutputSection


def labels_of(
    values: Array, section: OutputSection, names: tuple[str, ...] = (), scale: float = 0.0, zero_point: int = 0
) -> tuple[Label, ...]:
    spec = TensorSpec("out", values.shape, values.dtype.name, values.shape, scale, zero_point)
    task = Classify(describe(output_section=section, labels=names), engine_info([], [spec]))
    labels = task.decode([values], Geometry()).labels
    assert labels is not None
    return labels


def test_the_best_class_is_first() -> None:
    found = labels_of(np.array([[0.25, 0.5]], np.float32), OutputSection(), ("cat", "dog"))
    assert found == (Label(1, "dog", 0.5), Label(0, "cat", 0.25))


def test_quantised_scores_are_real_numbers() -> None:
    found = labels_of(np.array([[-128, 0]], np.int8), OutputSection(), scale=1 / 256, zero_point=-128)
    assert [(label.id, label.score) for label in found] == [(1, 0.5), (0, 0.0)]


def test_an_offset_moves_the_names_and_not_the_ids() -> None:
    section = OutputSection(label_offset=1)
    found = labels_of(np.array([[0.9, 0.1]], np.float32), section, ("background", "cat", "dog"))
    assert [(label.id, label.label) for label in found] == [(0, "cat"), (1, "dog")]


def test_a_class_without_a_name_is_called_by_its_number() -> None:
    found = labels_of(np.array([[0.1, 0.2, 0.9]], np.float32), OutputSection(), ("cat", ""))
    assert [label.label for label in found] == ["2", "1", "cat"]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_logits_become_scores_by_softmax(dtype: str) -> None:
    values = np.array([[0, 1, 2]], dtype)
    scale = 1.0 if dtype == "int8" else 0.0
    found = labels_of(values, OutputSection(activation="softmax"), scale=scale)
    assert [label.score for label in found] == pytest.approx([0.66524, 0.24473, 0.09003], abs=1e-5)


def test_sigmoid_scores_each_class_by_itself() -> None:
    found = labels_of(np.array([[0.0, 0.0]], np.float32), OutputSection(activation="sigmoid"))
    assert [label.score for label in found] == [0.5, 0.5]


def test_scores_below_the_threshold_are_left_out() -> None:
    assert len(labels_of(np.array([[0.1, 0.6, 0.25]], np.float32), OutputSection(threshold=0.25))) == 2


def test_no_more_than_top_k_are_told() -> None:
    assert len(labels_of(np.arange(10, dtype=np.float32), OutputSection(top_k=3))) == 3


def test_any_number_of_leading_axes_is_fine() -> None:
    assert labels_of(np.ones((1, 1, 1, 2), np.uint8), OutputSection())[0].id == 0


def test_a_model_without_outputs_is_named() -> None:
    with pytest.raises(ModelError, match="has no output"):
        Classify(describe(), engine_info([], []))


def test_what_was_averaged_is_forgotten() -> None:
    spec = TensorSpec("out", (1, 1), "float32", (1, 1))
    task = Classify(describe(output_section=OutputSection(average=5)), engine_info([], [spec]))
    task.decode([np.array([[0.0]], np.float32)], Geometry())
    task.forget()
    told = task.decode([np.array([[1.0]], np.float32)], Geometry()).labels
    assert told is not None
    assert told[0].score == 1.0
