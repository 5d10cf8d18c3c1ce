"""Several variants of one model are dropped: the device takes the one that suits it, by what it measured."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.drop_folder_agent import FOLLOWS_NEWEST, WAIT_S, Dropping, agent
from fixtures.models.collection import model_path, with_published

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


OURS = {"float": "own/own_digits/digits_v1_float", "quant": "own/own_digits/digits_v1_int8"}
PUBLISHED = {"float": "classify/mobilenet_v1_0.25_224_float", "quant": "classify/mobilenet_v1_0.25_224_quant"}


def serving(it: Dropping, key: str = "newest") -> str:
    """Return the variant that has proved itself."""
    state = it.state()
    active = state.versions.get(state.of(key).active)
    return active.variant if active is not None else ""


def test_the_faster_of_two_serves_and_the_choice_is_told_with_figures(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("cat+large", "invoke_ms = 12.0")
        it.drop("cat+small", "invoke_ms = 2.0")
        assert wait_for(lambda: serving(it) == "small", WAIT_S), it.running.log()
        why = it.await_line("model.trial", "cat").why
        assert "small (" in why
        assert "large (" in why


def test_where_the_better_one_fails_the_other_serves(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        it.drop("old", "invoke_ms = 12.0")
        it.await_active("old")
        it.drop("cat+large", "invoke_ms = 12.0")
        it.drop("cat+small", "invoke_ms = 2.0\ncrash_at = 40")
        it.await_line("model.quarantined", "cat")
        assert wait_for(lambda: serving(it) == "large", WAIT_S), it.running.log()


@pytest.mark.parametrize("variants", with_published([OURS], [PUBLISHED]), ids=lambda variants: variants["quant"])
def test_of_a_real_models_float_and_quantised_variants_the_faster_serves(
    tmp_path: Path, variants: dict[str, str]
) -> None:
    config = FOLLOWS_NEWEST.replace('engine = {kind = "fake"}\n', "").replace(
        'name = "cam"', 'name = "cam"\nmodel = "net"'
    )
    with agent(tmp_path, fps=30, config=config) as it:
        (it.folder / "net.toml").write_text('[model]\ntask = "classify"\n[input]\nmean = [127.5]\nstd = [127.5]\n')
        for variant, file in variants.items():
            part = it.folder / f".net+{variant}.part"
            part.write_bytes(model_path(file).read_bytes())
            part.rename(it.folder / f"net+{variant}.tflite")
        assert wait_for(lambda: len(measured(it)) == len(variants), WAIT_S), it.running.log()
        fastest = min(measured(it).items(), key=lambda one: one[1])[0]
        time.sleep(1.0)  # a switch would have begun by now
        assert wait_for(lambda: it.state().of("net").trial is None, WAIT_S), it.running.log()
        assert serving(it, "net") == fastest, it.running.log()


def measured(it: Dropping) -> dict[str, float]:
    """Return the fastest invoke of each variant that was accepted, by the variant, milliseconds."""
    state = it.state()
    verdicts = {digest: verdict for digest, verdict in state.of("net").verdicts.items() if verdict.accepted}
    return {state.versions[digest].variant: verdict.figures.invoke_ms for digest, verdict in verdicts.items()}
