"""What every engine must keep to, whoever implements it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import pytest

from fixtures.models.collection import model_path, with_published
from fixtures.models.fake_delegate import build_fake_tpu
from fixtures.paths import TINY_MODELS
from inferd.config import settings
from inferd.errors import EngineError
from inferd.plugins import ENGINES, Engine, find
from inferd.records import Array, TensorSpec
from inferd.system.clock import CountingClock


class Case(NamedTuple):
    """An implementation, and the model it loads by its name in the collection."""

    kind: str
    model: str = ""
    through_delegate: bool = False
    of_catalogue: bool = False


CASES = {
    "fake": Case("fake"),
    "litert, 14 dtypes": Case("litert", "tiny/all_dtypes"),
    "litert, delegate": Case("litert", "tiny/digits_edgetpu", through_delegate=True),
    "litert, int8": Case("litert", "own/own_digits/digits_v1_int8"),
    "litert, float": Case("litert", "own/own_digits/digits_v1_float"),
    "litert, dynamic range": Case("litert", "own/own_digits/digits_v1_dynrange"),
    "litert, stateful": Case("litert", "tiny/counting"),
    "litert, 3 inputs, 5 outputs": Case("litert", "tiny/sums"),
    "litert, outputs that load settles": Case("litert", "tiny/bright_cells"),
    "onnx": Case("onnx", "digits.onnx"),
    "onnx, open batch": Case("onnx", "open_batch.onnx"),
}
CATALOGUE = {"litert, wake word": Case("litert", "okay-nabu", of_catalogue=True)}
PUBLISHED = {
    "litert, hello world": Case("litert", "audio_sensor/hello_world_int8"),
    "litert, MobileNet": Case("litert", "classify/mobilenet_v1_0.25_128_quant"),
    "litert, split and concatenate": Case("litert", "malformed/split_concat_cpu"),
}


EVERY = {**CASES, **CATALOGUE, **PUBLISHED}


@pytest.fixture(
    params=[*with_published(CASES, PUBLISHED), *(pytest.param(name, marks=pytest.mark.slow) for name in CATALOGUE)]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    case = EVERY[request.param]
    if case.kind == "onnx":
        pytest.importorskip("onnxruntime", reason="there is no onnxruntime; pip install onnxruntime")
    path = model_file(case, request)
    delegate = str(build_fake_tpu(tmp_path).library) if case.through_delegate else ""
    options = settings.EngineConfig(threads=1, delegate=delegate)
    built: Engine = find("engine", ENGINES, case.kind)(str(path), options, CountingClock(), "model")
    yield built
    built.close()


def model_file(case: Case, request: pytest.FixtureRequest) -> Path:
    if case.of_catalogue:
        fetched: Path = request.getfixturevalue("catalogue_model")(case.model)
        return fetched / "model.tflite"
    return model_path(case.model) if case.kind == "litert" else TINY_MODELS / case.model


class BoomError(Exception):
    """What a callback of these tests raises."""


def fill(engine: Engine, value: int) -> None:
    def into(inputs: Sequence[Array]) -> None:
        for view in inputs:
            view[...] = value

    engine.write(into)


def outputs(engine: Engine) -> list[Array]:
    return engine.read(lambda views: [view.copy() for view in views])


def turn(engine: Engine, value: int) -> list[Array]:
    fill(engine, value)
    engine.invoke()
    return outputs(engine)


def raise_with_a_view_in_a_local(views: Sequence[Array]) -> NoReturn:
    view = views[0]
    raise BoomError(view.shape)


def raise_while_another_is_handled(views: Sequence[Array]) -> NoReturn:
    try:
        raise_with_a_view_in_a_local(views)
    except BoomError as exc:
        raise ValueError from exc


def all_agree(specs: Sequence[TensorSpec], views: Sequence[Array]) -> bool:
    return [(view.shape, view.dtype.name) for view in views] == [(spec.shape, spec.dtype) for spec in specs]


def test_its_info_says_which_runtime_it_is(engine: Engine) -> None:
    assert all((engine.info.runtime, engine.info.runtime_version, engine.info.accelerator))


def test_its_info_says_which_numpy_it_runs_with(engine: Engine) -> None:
    assert engine.info.numpy_version == np.__version__


def test_its_info_says_how_many_threads_it_uses(engine: Engine) -> None:
    assert engine.info.threads == 1


def test_its_info_never_delegates_more_nodes_than_there_are(engine: Engine) -> None:
    assert engine.info.nodes_delegated is not None
    assert 0 <= engine.info.nodes_delegated <= engine.info.nodes


def test_its_inputs_are_as_its_info_says(engine: Engine) -> None:
    assert engine.write(partial(all_agree, engine.info.inputs))


def test_its_outputs_are_as_its_info_says(engine: Engine) -> None:
    engine.invoke()
    assert engine.read(partial(all_agree, engine.info.outputs))


def test_its_inputs_can_be_written(engine: Engine) -> None:
    assert engine.write(lambda views: all(view.flags.writeable for view in views))


def test_what_was_written_is_there_at_the_next_write(engine: Engine) -> None:
    fill(engine, 1)
    assert engine.write(lambda views: all(np.all(view == 1) for view in views))


def test_write_returns_what_its_callback_returns(engine: Engine) -> None:
    assert engine.write(len) == len(engine.info.inputs)


def test_read_returns_what_its_callback_returns(engine: Engine) -> None:
    engine.invoke()
    assert engine.read(len) == len(engine.info.outputs)


def test_the_same_input_gives_the_same_output(engine: Engine) -> None:
    first = turn(engine, 1)
    engine.reset()
    assert all(map(np.array_equal, first, turn(engine, 1)))


def test_a_copy_outlives_the_next_invoke(engine: Engine) -> None:
    first = turn(engine, 1)
    kept = [array.copy() for array in first]
    turn(engine, 0)
    assert all(map(np.array_equal, first, kept))


def test_an_exception_in_write_comes_out_and_does_not_stop_the_next_invoke(engine: Engine) -> None:
    with pytest.raises(BoomError) as held:
        engine.write(raise_with_a_view_in_a_local)
    engine.invoke()
    assert held.value.__traceback__ is not None


def test_an_exception_in_read_comes_out_and_does_not_stop_the_next_invoke(engine: Engine) -> None:
    engine.invoke()
    with pytest.raises(BoomError) as held:
        engine.read(raise_with_a_view_in_a_local)
    engine.invoke()
    assert held.value.__traceback__ is not None


def test_an_exception_that_was_raised_from_another_does_not_stop_the_next_invoke(engine: Engine) -> None:
    with pytest.raises(ValueError) as held:  # noqa: PT011 - it has no text to match; the test is about what it holds
        engine.write(raise_while_another_is_handled)
    engine.invoke()
    assert isinstance(held.value.__cause__, BoomError)


def test_a_view_that_was_kept_is_named_by_the_next_invoke(engine: Engine) -> None:
    kept = engine.write(lambda views: views[0])
    with pytest.raises(RuntimeError, match="a callback kept a view"):
        engine.invoke()
    assert kept.size


def test_a_slice_of_an_output_that_was_kept_is_named_by_the_next_invoke(engine: Engine) -> None:
    engine.invoke()
    kept = engine.read(lambda views: views[0][:1])
    with pytest.raises(RuntimeError, match="a callback kept a view"):
        engine.invoke()
    assert kept.size


def test_it_runs_again_when_a_kept_view_is_gone(engine: Engine) -> None:
    kept = engine.write(lambda views: views[0])
    with pytest.raises(RuntimeError):
        engine.invoke()
    del kept
    engine.invoke()


def test_closing_twice_is_fine(engine: Engine) -> None:
    engine.close()
    engine.close()


@pytest.mark.parametrize("use", ["invoke", "write", "read"])
def test_a_closed_engine_refuses(engine: Engine, use: str) -> None:
    engine.close()
    with pytest.raises(AssertionError, match="closed"):
        engine.invoke() if use == "invoke" else getattr(engine, use)(len)


@pytest.mark.parametrize("kind", ENGINES)
def test_every_engine_in_the_table_stands_in_this_suite(kind: str) -> None:
    assert kind in {case.kind for case in CASES.values()}


def test_a_missing_file_is_an_engine_error_that_names_the_model() -> None:
    with pytest.raises(EngineError, match=r"doorbell: cannot be opened .*; check that /nowhere.tflite is a file"):
        find("engine", ENGINES, "litert")("/nowhere.tflite", settings.EngineConfig(), CountingClock(), "doorbell")
