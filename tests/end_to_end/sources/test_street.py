"""People on a street clip, followed and counted by the whole agent, against a count by eye."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.agents.agent import environment

pytestmark = pytest.mark.slow

CONFIG = """
state_dir = "{state}"
[mqtt]
enabled = false
[[pipeline]]
name = "street"
model = "{assets}/models/detect/coco_ssd_mobilenet_v1_quant.tflite"
source = {{kind = "video", path = "{assets}/video/vtest_8s_512x384.mp4"}}
pace = {{mode = "fast"}}
overrides = {{threshold = 0.2}}
report = {{max_per_s = 0}}
track = {{start_score = 0.6, confirm = 5}}
[[pipeline.zone]]
name = "path"
points = [[0.2, 0.0], [0.2, 1.0], [0.7, 1.0], [0.7, 0.0]]
labels = ["person"]
"""
LINE = """
[[pipeline.line]]
name = "{name}"
start = [1.0, {x}]
end = [0.0, {x}]
labels = ["person"]
"""
BY_EYE = {"lawn": (0.45, 4, 1), "lamp": (0.6, 4, 1), "road": (0.7, 2, 0), "bend": (0.8, 2, 0)}
"""Line → where it stands, how many walk to the right over it, how many to the left; counted on every seventh picture.

At the first two, three people come together and pass behind a lamp post with a sign: one more or less there is forgiven.
"""


@pytest.fixture(scope="module")
def results(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("street")
    lines = "".join(LINE.format(name=name, x=x) for name, (x, _, _) in BY_EYE.items())
    (folder / "inferd.toml").write_text(CONFIG.format(state=folder / "state", assets=assets) + lines)
    command = [sys.executable, "-m", "inferd", "run", "--print", "--until-end", "--config", str(folder / "inferd.toml")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return [one for one in told if "lines" in one]


def test_crossings_are_those_counted_by_eye(results: list[dict[str, Any]]) -> None:
    counted = {name: (line["in"], line["out"]) for name, line in results[-1]["lines"].items()}
    assert (counted["road"], counted["bend"]) == ((2, 0), (2, 0))
    for name in ("lawn", "lamp"):
        _, walked_in, walked_out = BY_EYE[name]
        assert counted[name] == (pytest.approx(walked_in, abs=1), pytest.approx(walked_out, abs=1))


def test_people_on_the_path_and_the_parked_car_are_followed_all_the_time(results: list[dict[str, Any]]) -> None:
    counts = [result["zones"]["path"]["count"] for result in results[20:]]
    assert 4 <= sorted(counts)[len(counts) // 2] <= 8
    assert results[-1]["zones"]["path"]["longest_s"] > 3
    numbers = {box.get("track") for result in results for box in result["boxes"] if box["label"] == "car"}
    assert len(numbers - {None}) == 1
