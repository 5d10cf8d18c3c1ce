"""`python -m inferd_tools.digits --out models/digits`: trains the demo model and writes its folder."""

from __future__ import annotations

import hashlib
import math
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from inferd_tools.digits import bundle, card, clip, data, judge, train
from inferd_tools.digits.draw import to_input

Array = NDArray[Any]
_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "scikit-learn", "numpy", "opencv-python-headless", "ai-edge-litert")
_TIMED_INVOKES = 1000


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The model's folder.")
def main(out: Path) -> None:
    """Train, quantise and judge the bundled digits model; write model, manifest, golden samples, clip and card."""
    out.mkdir(parents=True, exist_ok=True)
    digits = data.load()
    chosen_by = _validated(digits)
    network = _trained(data.training(digits))
    content = train.quantised(network, data.training(digits))
    (out / "model.tflite").write_bytes(content)
    clip.write(out, data.held_out(digits))
    figures = _measured(network, content, out, digits, chosen_by)
    bundle.write_manifest(out, figures.budget)
    bundle.write_golden(out, data.training(digits), Interpreter(model_content=content))
    (out / "README.md").write_text(card.text(figures), encoding="utf-8")
    _tell("float32, clean", figures.float_clean)
    _tell("int8, clean", figures.clean)
    _tell("int8, clip frames", figures.clip)


def _trained(digits: data.Digits) -> train.Network:
    train.fix_seeds()
    network = train.build()
    train.fit(network, digits)
    return network


def _validated(digits: data.Digits) -> judge.Score:
    """Train without the validation forms and judge on them: what choices are made by."""
    network = _trained(data.learning(digits))
    kept = data.validation(digits)
    score = judge.score(train.float_scores(network, train.drawn_clean(kept)).argmax(axis=1), kept.labels)
    _tell("float32, validation writers, clean", score)
    return score


def _measured(
    network: train.Network, content: bytes, folder: Path, digits: data.Digits, validation: judge.Score
) -> card.CardFigures:
    held_out = data.held_out(digits)
    clean = train.drawn_clean(held_out)
    seen = np.stack([to_input(frame) for frame in clip.read_frames(folder / "clip.avi")])
    truth = np.array(clip.read_truth(folder / "clip.json").labels).astype(np.int64)
    answers = judge.quantised_scores(Interpreter(model_content=content), clean).argmax(axis=1)
    clip_answers = judge.quantised_scores(Interpreter(model_content=content), seen).argmax(axis=1)
    on_clip = judge.score(clip_answers, truth)
    return card.CardFigures(
        parameters=int(network.count_params()),
        size_bytes=len(content),
        digest=hashlib.sha256(content).hexdigest(),
        invoke_ms=_invoke_ms(content, clean),
        rounds=train.ROUNDS,
        versions=_versions(),
        validation=validation,
        float_clean=judge.score(train.float_scores(network, clean).argmax(axis=1), held_out.labels),
        clean=judge.score(answers, held_out.labels),
        clip=on_clip,
        by_form=judge.score_by(held_out.forms, answers, held_out.labels),
        by_digit=judge.score_by(held_out.labels, answers, held_out.labels),
        clip_by_digit=judge.score_by(truth, clip_answers, truth),
        confusions=judge.confusions(clip_answers, truth),
        budget=math.floor(on_clip.accuracy * 100) / 100,
    )


def _invoke_ms(content: bytes, pictures: Array) -> float:
    """Return the median of single invokes on one thread, milliseconds, the warm-up left out."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pictures[:1])
    took_ns = []
    for _ in range(_TIMED_INVOKES):
        begun_ns = time.perf_counter_ns()
        interpreter.invoke()
        took_ns.append(time.perf_counter_ns() - begun_ns)
    return median(took_ns[_TIMED_INVOKES // 10 :]) / 1e6


def _versions() -> dict[str, str]:
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # TensorFlow goes by two names
    return found


def _tell(what: str, score: judge.Score) -> None:
    low, high = score.interval()
    print(f"{what}: {score.right}/{score.total} = {score.accuracy:.4f} (95 %: {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
