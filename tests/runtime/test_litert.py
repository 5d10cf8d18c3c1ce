"""What the TensorFlow Lite engine does beyond the contract that all engines share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fixtures.models.collection import model_path, with_published
from fixtures.paths import TINY_MODELS
from inferd.config import settings
from inferd.errors import EngineError
from inferd.records import Array, TensorSpec
from inferd.runtime.litert import LiteRt
from inferd.system.clock import CountingClock

TRAINABLE = model_path("own/own_digits/digits_trainable")
# The wake word's output stays 0 until 42 frames have filled its memory; the third pass over these is not 0 any more.
RAMP = tuple(range(-120, 128, 12)) * 3


@pytest.fixture(params=["variable tensors", pytest.param("resource variables", marks=pytest.mark.slow)])
def stateful(request: pytest.FixtureRequest) -> Path:
    """Return a model that remembers: ours, or a wake word of the catalogue."""
    if request.param == "variable tensors":
        return TINY_MODELS / "counting.tflite"
    return wake_word(request.getfixturevalue("catalogue_model"))


def wake_word(catalogue_model: Callable[[str], Path]) -> Path:
    return catalogue_model("okay-nabu") / "model.tflite"


def engine(path: Path, threads: int = 1) -> LiteRt:
    return LiteRt(str(path), settings.EngineConfig(threads=threads), CountingClock(), path.stem)


def tiny(name: str) -> LiteRt:
    return engine(TINY_MODELS / f"{name}.tflite")


def fill(loaded: LiteRt, *values: object) -> None:
    def into(inputs: Sequence[Array]) -> None:
        for view, value in zip(inputs, values, strict=True):
            view[...] = value

    loaded.write(into)


def turn(loaded: LiteRt, *values: object) -> list[Array]:
    fill(loaded, *values)
    loaded.invoke()
    return loaded.read(lambda views: [view.copy() for view in views])


def play(loaded: LiteRt, frames: Sequence[int]) -> list[int]:
    return [int(turn(loaded, frame)[0].item()) for frame in frames]


def test_a_scalar_input_is_lent_as_an_array_and_reaches_the_model() -> None:
    assert turn(tiny("scalar"), 41)[0] == 42


def test_a_scalar_output_is_an_array_without_axes() -> None:
    assert turn(tiny("scalar"), 0)[0].shape == ()


def test_all_dtypes_that_numpy_knows_pass_through() -> None:
    loaded = tiny("all_dtypes")
    passed = turn(loaded, *([1] * len(loaded.info.inputs)))
    assert [(array.dtype.name, array.min()) for array in passed] == [(spec.dtype, 1) for spec in loaded.info.inputs]


@pytest.mark.parametrize("found", [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 1]], ids=["none", "one", "three"])
def test_an_output_has_the_shape_of_this_very_invoke(found: list[int]) -> None:
    assert turn(tiny("found"), found)[0].tolist() == [[index] for index, there in enumerate(found) if there]


def test_an_output_shape_that_depends_on_the_input_is_told_as_unknown() -> None:
    assert tiny("found").info.outputs == (TensorSpec("found", (), "int64"),)


def test_an_open_dimension_is_1_and_told_as_open() -> None:
    assert tiny("open_batch").info.inputs == (TensorSpec("x", (1, 4), "float32", (-1, 4)),)


def test_a_failure_while_it_runs_is_an_engine_error_that_quotes_the_runtime() -> None:
    loaded = tiny("picking")
    fill(loaded, 7)
    with pytest.raises(EngineError, match=r"^picking: .* failed while running it \(.*gather.*\); use another version"):
        loaded.invoke()


def test_it_runs_again_after_a_failure() -> None:
    loaded = tiny("picking")
    fill(loaded, 7)
    with pytest.raises(EngineError):
        loaded.invoke()
    assert turn(loaded, 0)[0] == 1


@pytest.mark.parametrize(("model", "held"), [("text", "text"), ("resource", "references")])
def test_tensors_that_are_no_numbers_are_refused_by_name(model: str, held: str) -> None:
    with pytest.raises(EngineError, match=rf"^{model}: its tensor '.*' holds {held}"):
        tiny(model)


def test_a_number_type_that_numpy_lacks_is_refused() -> None:
    with pytest.raises(EngineError, match=r"^bfloat16: cannot be loaded by "):
        tiny("bfloat16")


def test_a_model_without_inputs_is_written_to_with_no_views() -> None:
    assert [array.shape for array in turn(engine(TRAINABLE))] == [(10,), (64, 10)]


@pytest.mark.parametrize(
    ("model", "scale", "zero_point"),
    with_published(
        [("own/own_digits/digits_v1_int8", 1 / 255, 0)], [("classify/mobilenet_v1_0.25_128_quant", 0.0078125, 128)]
    ),
)
def test_quantisation_is_told_of_whole_numbers(model: str, scale: float, zero_point: int) -> None:
    (spec,) = engine(model_path(model)).info.inputs
    assert spec.scale == pytest.approx(scale)
    assert spec.zero_point == zero_point


@pytest.mark.parametrize(
    ("model", "most"), with_published([("tiny/bright_cells", 16)], [("detect/coco_ssd_mobilenet_v1_quant", 10)])
)
def test_shapes_that_the_file_leaves_out_are_told_where_loading_settles_them(model: str, most: int) -> None:
    loaded = engine(model_path(model))
    assert [spec.shape for spec in loaded.info.outputs] == [(1, most, 4), (1, most), (1, most), (1,)]


def test_the_warm_up_leaves_no_trace_in_what_a_model_remembers() -> None:
    loaded = tiny("counting")
    assert [turn(loaded, step)[0].item() for step in (10, 0, 20)] == [11, 12, 33]


def test_reset_clears_variable_tensors() -> None:
    loaded = tiny("counting")
    turn(loaded, 10)
    loaded.reset()
    assert turn(loaded, 0)[0] == 1


def test_a_stateful_model_remembers(stateful: Path) -> None:
    loaded = engine(stateful)
    assert play(loaded, RAMP) != play(loaded, RAMP)


def test_reset_makes_a_stateful_model_forget(stateful: Path) -> None:
    loaded = engine(stateful)
    first = play(loaded, RAMP)
    loaded.reset()
    assert any(first)
    assert play(loaded, RAMP) == first


def test_reset_needs_neither_the_path_nor_the_descriptor_it_was_loaded_by(stateful: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.tflite"
    copy.write_bytes(stateful.read_bytes())
    descriptor = os.open(copy, os.O_RDONLY)
    loaded = engine(Path(f"/proc/self/fd/{descriptor}"))
    os.close(descriptor)
    copy.unlink()
    first = play(loaded, RAMP)
    loaded.reset()
    assert play(loaded, RAMP) == first


def test_a_view_kept_over_a_reset_does_not_reach_the_new_state(catalogue_model: Callable[[str], Path]) -> None:
    loaded = engine(wake_word(catalogue_model))
    kept = loaded.write(lambda views: views[0])
    loaded.reset()
    kept[...] = 7
    assert loaded.write(lambda views: int(views[0].max())) != 7


def holders(path: Path) -> int:
    """Count this process's descriptors of a file."""
    return [str(link.resolve()) for link in Path("/proc/self/fd").iterdir()].count(str(path))


def test_closing_lets_go_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes((TINY_MODELS / "scalar.tflite").read_bytes())
    loaded = engine(path)
    assert holders(path) > 0  # ours, and that of the runtime
    loaded.close()
    assert holders(path) == 0


def test_a_refusal_lets_go_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes((TINY_MODELS / "text.tflite").read_bytes())
    with contextlib.suppress(EngineError):
        engine(path)
    assert holders(path) == 0


def test_load_and_warm_up_are_timed_by_the_clock_it_is_given() -> None:
    class Ticking(CountingClock):
        def monotonic_ns(self) -> int:
            self.advance(0.001)
            return super().monotonic_ns()

    info = LiteRt(str(TINY_MODELS / "scalar.tflite"), settings.EngineConfig(), Ticking(), "scalar").info
    assert (info.load_ms, info.warmup_ms) == (1.0, 1.0)


@pytest.mark.parametrize("model", with_published(["own/own_digits/digits_v1_int8"], ["classify/vww_96_int8"]))
def test_a_quantised_model_is_warned_of_exactly_where_no_node_is_delegated(model: str) -> None:
    info = engine(model_path(model)).info
    assert bool(info.warning) == (info.nodes_delegated == 0)


def test_a_float_model_is_never_warned_of() -> None:
    assert engine(TRAINABLE).info.warning == ""


def test_engines_can_be_used_in_turns() -> None:
    one, other = tiny("scalar"), tiny("scalar")
    fill(one, 1)
    fill(other, 2)
    one.invoke()
    other.invoke()
    assert [loaded.read(lambda views: views[0].item()) for loaded in (one, other)] == [2, 3]
