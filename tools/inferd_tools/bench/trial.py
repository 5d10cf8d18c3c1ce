"""The rows of `make bench` that tell how soon the old model serves again after a new one did harm in its trial."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from inferd_tools.bench.swap import Row, printing_agent

TIMES = 3
DEADLINE_S = 1.0
CONFIG = f"""
state_dir = "%s"
[mqtt]
enabled = false
[watch]
deadline_s = {DEADLINE_S}
restart_max_s = 0.5
[models]
look_every_s = 0.1
settle_s = 0.2
trial_results = 90
[[pipeline]]
name = "cam"
source = {{kind = "synthetic", width = 64, height = 48}}
pace = {{mode = "fixed", fps = 30}}
report = {{max_per_s = 0}}
engine = {{kind = "fake"}}
"""
GOOD = "invoke_ms = 8.0\n"
AT = 30  # which invoke does the harm: after those of the vetting, well before the end of the trial
HARMS = {
    "a crash": (f"crash_at = {AT}", "goal 1"),
    "a hang": (f"hang_at = {AT}", f"goal {DEADLINE_S + 1:g}: deadline and 1"),
    "NaN": (f"nan_from = {AT}", "goal: its trial of 3 s"),
    "three times slower": (f"slow_from = {AT}\nslow_ms = 24.0", "goal: its trial of 3 s"),
}
BUDGET_MS = 16.0


def trial_rows() -> Iterator[Row]:
    """Yield a row for each harm: from the last good result of the new model to the first of the old one, the worst."""
    with tempfile.TemporaryDirectory() as folder:
        drop = Path(folder, "state", "models")
        drop.mkdir(parents=True)
        _drop(drop, "good", GOOD)
        with printing_agent(Path(folder, "inferd.toml"), CONFIG % drop.parent, Path(folder, "log")) as lines:
            for what, (harm, goal) in HARMS.items():
                names = [f"bad-{harm.split('_', maxsplit=1)[0]}-{number}" for number in range(TIMES)]
                took = [_back_after(drop, name, harm, lines) for name in names]
                yield f"back on the old model after {what} (s, worst of {TIMES}; {goal})", f"{max(took):.2f}"


def _back_after(drop: Path, name: str, harm: str, lines: IO[str]) -> float:
    """Drop a bad model and return how long it took from its last good result until the old one answers again."""
    _await(lines, "good")
    _drop(drop, name, f"{GOOD}{harm}\n")
    well_s = _await(lines, name)
    while (told := json.loads(lines.readline()))["model"] == name:
        if told["timing_ms"]["invoke"] < BUDGET_MS:
            well_s = time.monotonic()
    return time.monotonic() - well_s


def _await(lines: IO[str], name: str) -> float:
    """Read until that model answers; return when that was."""
    while json.loads(lines.readline())["model"] != name:
        pass
    return time.monotonic()


def _drop(drop: Path, name: str, content: str) -> None:
    """Drop a fake model with a budget; the manifest lies there before it."""
    (drop / f"{name}.toml").write_text(f"[budget]\nlatency_p95_ms = {BUDGET_MS}\n")
    (drop / f".{name}.part").write_text(f"# {name}\n{content}")
    (drop / f".{name}.part").rename(drop / f"{name}.tflite")
