from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from fixtures.agents.agent import environment
from inferd.errors import ModelError
from inferd.preprocess.signal.microfrontend import FRAME, STEP, MicroFrontend
from inferd.records import Array
from inferd.wire.manifest import SignalSection

WAKE = SignalSection(rate_hz=16000, window=800, hop=480, features=("microfrontend",))
NOISE = (np.random.default_rng(0).standard_normal((16000, 1)) * 0.1).astype(np.float64)


def package() -> Any:  # Any: it ships no types
    return pytest.importorskip("pymicro_features", reason="pip install pymicro-features")


def listening() -> MicroFrontend:
    package()
    return MicroFrontend(WAKE)


def heard(samples: Array, frontend: MicroFrontend) -> Array:
    """Return the features of all whole windows, one behind the other."""
    return np.concatenate([frontend(samples[at : at + 800]) for at in range(0, len(samples) - 799, 480)])


def test_windows_are_heard_as_one_sound() -> None:
    whole = package().MicroFrontend()
    pcm = np.rint(NOISE[:, 0] * 32768).astype("<i2")
    steps = [whole.process_samples(pcm[at : at + STEP].tobytes()).features for at in range(0, len(pcm), STEP)]
    at_once = np.array([features for features in steps if features])
    piecewise = heard(NOISE, listening())
    assert len(piecewise) == 3 * (1 + (len(NOISE) - 800) // 480)
    assert np.array_equal(piecewise, at_once[: len(piecewise)])


def test_a_window_gives_forty_bands_for_every_ten_milliseconds() -> None:
    assert listening()(NOISE[: FRAME + 2 * STEP]).shape == (3, 40)


def test_the_same_sound_is_heard_the_same_after_forgetting_and_otherwise_without() -> None:
    frontend = listening()
    first = heard(NOISE, frontend)
    again = heard(NOISE, frontend)
    frontend.forget()
    assert np.array_equal(heard(NOISE, frontend), first)
    assert not np.array_equal(again, first)


def test_a_window_that_reaches_further_back_is_heard_by_itself() -> None:
    package()
    frontend = MicroFrontend(SignalSection(rate_hz=16000, window=16000, hop=8000, step=320))
    first = frontend(NOISE)
    assert first.shape == (49, 40)
    assert np.array_equal(frontend(NOISE), first)


def test_a_longer_step_leaves_rows_out() -> None:
    package()
    every, second = (MicroFrontend(SignalSection(rate_hz=16000, window=16000, step=step)) for step in (160, 320))
    assert np.array_equal(second(NOISE), every(NOISE)[::2])


def test_what_is_louder_than_full_scale_is_clipped() -> None:
    assert np.array_equal(listening()(NOISE[:800] * 1000), listening()(np.clip(NOISE[:800] * 1000, -1, 32767 / 32768)))


def test_two_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="not said for 2 channels"):
        listening()(np.zeros((800, 2)))


@pytest.mark.parametrize(
    "said",
    [
        SignalSection(window=800, hop=480),
        SignalSection(rate_hz=8000, window=800, hop=480),
        SignalSection(rate_hz=16000, window=400),
        SignalSection(rate_hz=16000, window=820, hop=500),
        SignalSection(rate_hz=16000, window=16000, step=100),
    ],
)
def test_a_section_that_does_not_fit_is_refused_with_what_would(said: SignalSection) -> None:
    with pytest.raises(ModelError, match="rate_hz = 16000, window of 480 or more, hop and step by the 160"):
        MicroFrontend(said)


def test_a_missing_package_is_named_with_what_brings_it() -> None:
    program = (
        "import sys; sys.modules['pymicro_features'] = None\n"
        "from inferd.preprocess.signal.features import computer\n"
        "from inferd.wire.manifest import SignalSection\n"
        "computer(SignalSection(rate_hz=16000, window=800, hop=480, features=('microfrontend',)))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)  # noqa: PLW1510 - it fails
    assert "install the package pymicro-features (pip install pymicro-features)" in done.stderr
