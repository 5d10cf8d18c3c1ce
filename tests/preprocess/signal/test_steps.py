from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fixtures.media.sounds import tone
from fixtures.media.speech import RATE_HZ, spoken
from inferd.errors import ModelError, SourceError
from inferd.preprocess.denoise import band_pass, gaussian, median, spectral_gate
from inferd.preprocess.signal.features import computer
from inferd.preprocess.signal.spectra import mel_bank
from inferd.preprocess.signal.steps import SignalPreprocess, wanted_window, whole
from inferd.preprocess.signal.vibration import STATISTICS, band_powers
from inferd.records import Array, Frame, TensorSpec
from inferd.wire.manifest import PcaSection, SignalSection

GOLDEN = np.load(Path(__file__).parent / "golden" / "signal.npz")
KEYWORDS = SignalSection(
    rate_hz=16000,
    window=16000,
    scale="peak",
    features=("mfcc",),
    frame=480,
    step=320,
    mels=40,
    low_hz=20,
    high_hz=4000,
    coefficients=10,
)
TOY_CAR = SignalSection(
    rate_hz=16000,
    features=("mel",),
    frame=1024,
    step=512,
    power=2.0,
    mels=128,
    low_hz=0,
    mel_scale="slaney",
    log="db",
    log_offset=sys.float_info.epsilon,
)


def section(**keys: object) -> SignalSection:
    return SignalSection(**keys)  # type: ignore[arg-type]  # tests name right keys


def frame(samples: Array, rate_hz: float = 0.0) -> Frame:
    return Frame(np.asarray(samples, np.float32), 0, 0, 0.0, rate_hz=rate_hz)


def written(samples: Array, spec: TensorSpec, said: SignalSection, pca: PcaSection | None = None) -> Array:
    tensor = np.zeros(spec.shape, spec.dtype)
    SignalPreprocess(said, pca or PcaSection(), spec)(frame(samples), [tensor])
    return tensor


def computed(samples: Array, **keys: object) -> Array:
    return computer(section(**keys))(np.asarray(samples, np.float64))


def test_the_mel_bank_is_tensorflows() -> None:
    assert np.abs(mel_bank(40, 512, 16000, 20, 4000, "htk") - GOLDEN["tf_mel_bank"]).max() < 2e-5


def test_the_mel_bank_is_librosas() -> None:
    assert np.abs(mel_bank(128, 1024, 16000, 0, 8000, "slaney") - GOLDEN["librosa_bank"]).max() < 1e-8


def test_mfcc_are_tensorflows() -> None:
    said = msgspec.structs.replace(KEYWORDS, scale="none", window=4096)
    assert np.abs(computer(said)(GOLDEN["signal"][:, None].astype(float)) - GOLDEN["tf_mfcc"]).max() < 1e-4


def test_log_mels_are_tensorflows() -> None:
    said = msgspec.structs.replace(KEYWORDS, scale="none", features=("mel",))
    assert np.abs(computer(said)(GOLDEN["signal"][:, None].astype(float)) - GOLDEN["tf_log_mel"]).max() < 1e-4


def test_decibel_mels_are_librosas() -> None:
    found = computer(TOY_CAR)(GOLDEN["signal"][:, None].astype(float))
    assert np.abs(found - GOLDEN["librosa_db"]).max() < 1e-3


def test_skewness_and_kurtosis_are_scipys() -> None:
    three = GOLDEN["signal"][:3072].reshape(-1, 3).astype(float)
    assert STATISTICS["kurtosis"](three) == pytest.approx(GOLDEN["scipy_kurtosis"])
    assert STATISTICS["skewness"](three) == pytest.approx(GOLDEN["scipy_skewness"])


def test_the_median_is_scipys() -> None:
    three = GOLDEN["signal"][:3072].reshape(-1, 3).astype(float)
    assert np.array_equal(median(three, 5)[:, 0], GOLDEN["scipy_median"])


def test_a_flat_line_has_no_shape() -> None:
    flat = np.full((50, 2), 3.0)
    shapes = [STATISTICS[name](flat).tolist() for name in ("skewness", "kurtosis", "crossings")]
    assert shapes == [[0.0, 0.0]] * 3


def test_all_bands_together_have_the_power_of_the_signal() -> None:
    noise = np.random.default_rng(1).standard_normal((999, 2))
    powers = band_powers(noise, 100.0, np.array([0.0, 10.0, 30.0, 50.0]))
    assert powers.sum(axis=1) == pytest.approx((noise**2).mean(axis=0))


def test_a_tone_is_in_its_band() -> None:
    powers = computed(tone(50, 1)[:, None], rate_hz=16000, features=("bands",), bands_hz=(0, 40, 60, 8000))
    assert powers[0] == pytest.approx([0, 0.125, 0], abs=1e-6)


def test_the_strongest_frequencies_are_found_between_the_bins() -> None:
    sound = tone(440.3, 0.5) + tone(1000.7, 0.5, volume=0.25)
    peaks = computed(sound[:, None], rate_hz=16000, features=("peaks",), peaks=2)[0]
    assert peaks[:, 0] == pytest.approx([440.3, 1000.7], abs=0.2)
    assert peaks[:, 1] == pytest.approx([0.5, 0.25], rel=0.1)


def test_several_features_lie_one_behind_the_other() -> None:
    keys = {"rate_hz": 100.0, "features": ("statistics", "bands"), "statistics": ("mean", "max"), "bands_hz": (0, 50)}
    assert computed(np.ones((10, 3)), **keys).tolist() == [1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_a_window_goes_in_as_it_is_where_nothing_is_said() -> None:
    samples = np.arange(384, dtype=np.float32).reshape(128, 3)
    tensor = written(samples, TensorSpec("x", (1, 128, 3, 1), "float32"), SignalSection())
    assert np.array_equal(tensor[0, :, :, 0], samples)


def test_real_numbers_are_quantised_by_the_tensor() -> None:
    spec = TensorSpec("x", (1, 4), "int8", scale=0.5, zero_point=10)
    assert written(np.array([[0.0], [1.0], [-500.0], [0.26]]), spec, SignalSection()).tolist() == [[10, 12, -128, 11]]


def test_channels_are_chosen_and_scaled() -> None:
    samples = np.array([[1.0, 10.0, 100.0], [3.0, 30.0, 300.0]])
    spec = TensorSpec("x", (1, 4), "float32")
    said = section(channels=(2, 0), mean=(100.0, 1.0), std=(100.0, 2.0))
    assert written(samples, spec, said).tolist() == [[0.0, 0.0, 2.0, 1.0]]


def test_channels_are_mixed_into_their_mean() -> None:
    samples = np.array([[1.0, 3.0], [2.0, -2.0]])
    assert written(samples, TensorSpec("x", (2,), "float32"), section(channels="mix")).tolist() == [2.0, 0.0]


@pytest.mark.parametrize(
    ("said", "window"),
    [
        (SignalSection(), 15600),
        (SignalSection(rate_hz=16000.0, channels="mix"), 15600),
        (SignalSection(window=800), 800),
        (SignalSection(features=("mfcc",)), 0),
        (SignalSection(select=(1,)), 0),
    ],
)
def test_the_window_is_the_inputs_own_where_samples_go_in_as_they_are(said: SignalSection, window: int) -> None:
    assert wanted_window(said, PcaSection(), TensorSpec("x", (1, 15600), "float32")).window == window


def test_standard_takes_mean_and_deviation_of_each_channel_out() -> None:
    samples = np.array([[1.0, 5.0], [3.0, 5.0]])
    assert written(samples, TensorSpec("x", (4,), "float32"), section(scale="standard")).tolist() == [-1, 0, 1, 0]


def test_missing_values_lie_on_the_line_between_their_neighbours() -> None:
    nan = np.nan
    filled = whole(np.array([[nan, nan], [1.0, nan], [nan, nan], [3.0, nan], [nan, nan]]))
    assert filled[:, 0].tolist() == [1, 1, 2, 3, 3]
    assert filled[:, 1].tolist() == [0] * 5


def test_features_are_selected_and_then_projected() -> None:
    pca = PcaSection(mean=(1.0, 1.0), std=(1.0, 2.0), components=((1.0, 1.0), (0.0, 1.0)))
    tensor = written(np.array([[5.0], [2.0], [7.0]]), TensorSpec("x", (2,), "float32"), section(select=(1, 2)), pca)
    assert tensor.tolist() == [1.0 + 3.0, 3.0]


def test_principal_components_are_those_of_the_covariance() -> None:
    cloud = np.random.default_rng(2).multivariate_normal((1, 2, 3), np.diag((9.0, 4.0, 1.0)), 500)
    mean, vectors = cloud.mean(axis=0), np.linalg.eigh(np.cov(cloud.T))[1][:, ::-1].T
    pca = PcaSection(mean=tuple(mean), components=tuple(map(tuple, vectors[:2].tolist())))
    spec = TensorSpec("x", (2,), "float32")
    seen = np.array([written(point[:, None], spec, SignalSection(), pca) for point in cloud])
    assert np.cov(seen.T)[0, 1] == pytest.approx(0, abs=1e-3)
    assert seen.var(axis=0) == pytest.approx([9, 4], rel=0.15)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "told"),
    [
        (np.zeros((15000, 1)), 16000.0, "has 15000 samples, but the model takes 16000"),
        (
            np.zeros((16000, 1)),
            44100.0,
            "has 44100 samples a second, the model 16000; take it with rate_hz = 16000, or a sound with to_hz",
        ),
        (np.zeros((16000, 2)), 16000.0, r"a window of 16000x2 makes 980 values, but the model takes \[1, 49, 10, 1\]"),
    ],
)
def test_a_window_that_does_not_fit_is_refused_with_what_would(samples: Array, rate_hz: float, told: str) -> None:
    spec = TensorSpec("x", (1, 49, 10, 1), "float32")
    prepared = SignalPreprocess(KEYWORDS, PcaSection(), spec)
    with pytest.raises(SourceError, match=told):
        prepared(frame(samples, rate_hz), [np.zeros(spec.shape, np.float32)])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"features": ("mel",), "rate_hz": 8000.0}, "signal.frame: is not said"),
        ({"features": ("mel",), "frame": 64}, "signal.rate_hz: is not said"),
        ({"features": ("mel",), "frame": 64, "rate_hz": 8000.0, "high_hz": 5000.0}, "signal.high_hz: is 5000"),
        ({"features": ("spectrum",), "frame": 64, "fft": 32}, "signal.fft: is 32"),
        ({"features": ("mfcc",), "frame": 64, "rate_hz": 8000.0, "mels": 4}, "signal.coefficients: is 13"),
        ({"features": ("bands",), "rate_hz": 100.0, "bands_hz": (5.0, 4.0)}, "signal.bands_hz: must be two or more"),
        ({"denoise": "median", "denoise_size": 4}, "signal.denoise_size: is 4; it must be odd"),
        ({"denoise": "band_pass"}, "needs rate_hz and a rising band_hz"),
        ({"channels": ()}, "signal.channels: must be numbers from 0"),
        ({"std": (0.0,), "mean": (1.0,)}, "std must not be 0"),
    ],
)
def test_a_section_that_cannot_be_is_refused_when_the_model_is_loaded(keys: dict[str, object], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        SignalPreprocess(section(**keys), PcaSection(), TensorSpec("x", (1,), "float32"))


def test_components_that_do_not_fit_are_refused() -> None:
    spec = TensorSpec("x", (1,), "float32")
    with pytest.raises(ModelError, match=r"pca.components: has rows of \[1, 2\] numbers"):
        SignalPreprocess(SignalSection(), PcaSection(components=((1.0,), (1.0, 2.0))), spec)
    with pytest.raises(ModelError, match="is made for 2 features, but 3 were computed"):
        written(np.ones((3, 1)), spec, SignalSection(), PcaSection(components=((1.0, 2.0),)))


def test_a_band_pass_leaves_its_band_alone_and_takes_the_rest_out() -> None:
    inside, below, above = (tone(hz, 0.5)[:, None].astype(float) for hz in (500, 50, 3000))
    left = band_pass(inside + below + above, 16000, (300, 1000))
    assert np.sqrt(((left - inside)[400:-400] ** 2).mean()) < 0.01 * np.sqrt((inside**2).mean())


def test_a_spectral_gate_brings_speech_out_of_a_hum() -> None:
    speech, rate_hz = spoken("yes", silence_s=0.2).astype(np.float32) / 32768, RATE_HZ
    hum = tone(120, 2.0, rate_hz, volume=0.1)[: len(speech)]
    noisy = (speech + hum)[:, None].astype(float)
    cleaned = spectral_gate(noisy, 12.0)[:, 0]
    before, after = (np.mean((sound - speech) ** 2) for sound in (noisy[:, 0], cleaned))
    assert after < before / 3


def test_a_spectral_gate_that_opens_for_everything_changes_nothing() -> None:
    noise = np.random.default_rng(0).standard_normal((3000, 2))
    assert np.abs(spectral_gate(noise, -300.0) - noise).max() < 1e-9


def test_a_gaussian_keeps_the_mean_and_calms_the_rest() -> None:
    noise = 5 + np.random.default_rng(0).standard_normal((500, 1))
    smooth = gaussian(noise, 9)
    assert smooth.mean() == pytest.approx(noise.mean(), abs=0.05)
    assert smooth.std() < noise.std() / 2


def test_a_median_takes_spikes_out() -> None:
    samples = np.zeros((50, 1))
    samples[20] = 1000
    assert not median(samples, 3).any()
