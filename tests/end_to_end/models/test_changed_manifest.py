"""What a model means, compared with the same weights before and with names in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.drop_folder_agent import FOLLOWS_NEWEST, WAIT_S, agent
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


def test_a_zone_that_counts_what_is_no_label_of_the_model_is_told_once_the_model_serves(tmp_path: Path) -> None:
    zone = '[[pipeline.zone]]\nname = "door"\npoints = [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]\nlabels = ["clas 1"]\n'
    with agent(tmp_path, config=FOLLOWS_NEWEST + zone) as it:
        it.drop("cat")
        it.await_active("cat")
        said = "zone 'door' names 'clas 1', which is no label of its model; did you mean 'class 1'?"
        assert wait_for(lambda: it.running.log().count(said) == 1, WAIT_S), it.running.log()
