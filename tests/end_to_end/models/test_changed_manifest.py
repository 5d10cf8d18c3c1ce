"""A manifest is changed beside the model that serves: the weights are the same, what they mean is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.agents.drop_folder_agent import FOLLOWS_NEWEST, agent
from fixtures.models.tflite_writer import mean_color

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MANIFEST = """
[model]
task = "classify"
[input]
range = [0.0, 1.0]
[output]
labels = ["red", "green", "blue"]
activation = "none"
threshold = {threshold}
"""


def test_a_changed_manifest_beside_the_same_weights_is_doubtful_and_named(tmp_path: Path) -> None:
    with agent(tmp_path, fps=30, config=FOLLOWS_NEWEST.replace('engine = {kind = "fake"}\n', "")) as it:
        (it.folder / "colors.toml").write_text(MANIFEST.format(threshold=0.1))
        (it.folder / "colors.tflite").write_bytes(mean_color())
        it.await_active("colors")
        (it.folder / "colors.toml").write_text(MANIFEST.format(threshold=0.999))
        doubt = it.await_line("model.doubtful", "colors")
        assert "its weights are those of the model it replaces, but output.threshold is 0.999, was 0.1" in doubt.why
        assert len(it.lines("model.doubtful")) == 1
