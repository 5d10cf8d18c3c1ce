"""Writes the model's card (README.md) from the figures that the recipe has just measured."""

from __future__ import annotations

from dataclasses import dataclass

from inferd_tools.digits.judge import Score


@dataclass(frozen=True, slots=True)
class CardFigures:
    """What was measured.

    Attributes:
        parameters: weights of the network.
        size_bytes: of model.tflite.
        digest: SHA-256 of model.tflite, hexadecimal.
        invoke_ms: median time of one invoke.
        rounds: how long it was trained.
        versions: distribution → version.
        validation: float network on the validation forms while it was trained on nine, clean.
        float_clean: float network, held-out, clean.
        clean: the shipped model, held-out, clean.
        clip: the shipped model, every frame of the clip.
        by_form: `clean` by form.
        by_digit: `clean` by digit.
        clip_by_digit: `clip` by digit.
        confusions: truth, answer, how often; of `clip`.
        budget: the accuracy that the manifest asks for.
    """

    parameters: int
    size_bytes: int
    digest: str
    invoke_ms: float
    rounds: int
    versions: dict[str, str]
    validation: Score
    float_clean: Score
    clean: Score
    clip: Score
    by_form: dict[int, Score]
    by_digit: dict[int, Score]
    clip_by_digit: dict[int, Score]
    confusions: list[tuple[int, int, int]]
    budget: float


_ON_TFLITE_RUNTIME = "1131/1146"  # 22 November 2026, in an environment of its own

_CARD = """\
# digits

Reads one handwritten digit, dark on light paper. It is inferd's demo: small enough to ship, real enough to be wrong
now and then. This page is written by the recipe; every figure on it was measured in the run that made the file.

| file | what |
|---|---|
| `model.tflite` | the model, {size_bytes} bytes, SHA-256 `{digest}` |
| `model.toml`, `labels.txt` | manifest and labels |
| `golden.npz` | 32 digits of training writers with the outputs they must give |
| `clip.avi`, `clip.json` | all held-out digits, three frames each, and the truth of every frame |

## Data

*Optical Recognition of Handwritten Digits*, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998,
<https://doi.org/10.24432/C50P49>, licence [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), as shipped by
scikit-learn (`load_digits`): 1797 digits of 8x8 cells, ink 0..16. It is the part that UCI calls its test set, by 13
writers. Changes: the digits were redrawn as pictures (see below). `clip.avi`, `clip.json` and `golden.npz` contain such
pictures and stay under CC BY 4.0 with this attribution; the weights and the recipe are Apache-2.0.

**Split by writers.** The data names no writers, but everybody filled in the same form: the same sequence of about 130
labels comes fourteen times, and where it begins anew, another form begins (see `data.py`). No form is ever split.

| part | forms | digits | used for |
|---|---|---|---|
| learning | 0-8 | 1157 | training while choices were made |
| validation | 9, 10 | 258 | the only judge of those choices |
| training | 0-10 | 1415 | the shipped weights: the same recipe, both parts above |
| held out | 11-13 | 382 | this page and the clip |

There was little to choose: the first network was kept, the pictures were made smaller and less noisy for the clip's
sake, and 60 rounds instead of 20 were chosen on the validation forms. The held-out forms were run once all that was
settled, and nothing in training was changed since.

UCI counts thirteen writers where we count fourteen forms, so one writer may have filled in two. By the distance of each
digit to the nearest of its kind on every other form, 9 and 10 are the likeliest pair, and no held-out form is nearly as
close to another form as it is to itself; but that is inferred, nobody recorded it. (The usual cut after four fifths of
the data, at 1437, would put 22 digits of form 11 into training.)

## Recipe

Each digit is drawn as a 128x128 picture by `draw.py`: cubic interpolation of the cells, turned, shifted, leaning, bent,
with a thinner or thicker pen, uneven light, blur and noise, then shrunk by area to 32x32 grey. Every round of training
draws every digit anew. The clip uses the same file with gentler views: a few degrees, a few pixels, no lean, no bend.

Network: 3x3 convolutions of 16 (stride 2), 32, 48 and 64 channels, each with batch normalisation and ReLU, pooling by
two after the second and third, then a 4x4 convolution to ten scores and softmax; {parameters} parameters. AdamW, cosine
decay from 0.002, label smoothing 0.05, dropout 0.4, {rounds} rounds, fixed seeds. Quantised after training to full int8
(uint8 in and out; input scale 1/255, zero point 0; output scale 1/256, zero point 0), calibrated on training views.
It has no fully-connected layer: converters now quantise those per channel, and tflite-runtime 2.14 was seen to compute
such layers wrongly without an error.

## Accuracy on held-out writers

| model | pictures | right | accuracy | 95 % interval |
|---|---|---|---|---|
{accuracy_rows}

The interval is Wilson's and takes samples as independent. They are not: they are by three hands, and the three frames
of a digit in the clip are nearly the same picture (so the clip's interval counts each digit, not each frame). For a new
writer expect a wider spread. Of the clean pictures the shipped model got {forms}.
On the validation forms, trained on the other nine, the float network got {validation}.

The manifest asks for an accuracy of {budget}: the clip's figure, rounded down.

| digit | clean | clip frames |
|---|---|---|
{digit_rows}

Mistakes on the clip (truth → answer, frames): {confusions}.

With tflite-runtime 2.14.0 and numpy 1.26 on x86-64 version 1.0.0 got {by_hand} of the clip's frames (a separate run, by
hand: the two runtimes cannot share an environment).

## Cost

One invoke takes {invoke_ms:.2f} ms (median, one thread of an x86-64 machine under other load, ai-edge-litert
{litert}). Not measured on any board.

## Limits

It knows digits drawn from 8x8 cells by this recipe. It was not tried on photographs, on light strokes on dark, or on
several digits at once, and it has no answer for what is no digit: it names one all the same. It learned from eleven
forms at most, and people elsewhere write their 1, 4 and 7 otherwise. Do not read meters or cheques with it.

## Make it again

    python -m venv .venv && .venv/bin/pip install -e '.[train]'
    .venv/bin/python -m inferd_tools.digits --out models/digits

Four minutes on two x86-64 cores. The same machine and versions give the same model, byte for byte; others will give
other weights, and this page their figures. Made with {versions}.
"""


def text(figures: CardFigures) -> str:
    """Return the card."""
    return _CARD.format(
        size_bytes=figures.size_bytes,
        digest=figures.digest,
        parameters=figures.parameters,
        rounds=figures.rounds,
        accuracy_rows=_accuracy_rows(figures),
        forms=", ".join(f"{score.right}/{score.total} (form {form})" for form, score in figures.by_form.items()),
        validation=_fraction(figures.validation),
        budget=figures.budget,
        by_hand=_ON_TFLITE_RUNTIME,
        digit_rows=_digit_rows(figures),
        confusions=", ".join(f"{was} → {said} {count}" for was, said, count in figures.confusions) or "none",
        invoke_ms=figures.invoke_ms,
        litert=figures.versions["ai-edge-litert"],
        versions=", ".join(f"{name} {version}" for name, version in figures.versions.items()),
    )


def _accuracy_rows(figures: CardFigures) -> str:
    digits = figures.clean.total
    frames_per_digit = figures.clip.total // digits
    clip_as_digits = Score(figures.clip.right // frames_per_digit, digits)
    rows = (
        ("float32, before quantising", "clean", figures.float_clean, figures.float_clean),
        ("**int8, shipped**", "clean", figures.clean, figures.clean),
        ("**int8, shipped**", "clip frames", figures.clip, clip_as_digits),
    )
    return "\n".join(
        f"| {model} | {pictures} | {score.right}/{score.total} | {score.accuracy:.4f} | {_interval(counted)} |"
        for model, pictures, score, counted in rows
    )


def _digit_rows(figures: CardFigures) -> str:
    return "\n".join(
        f"| {digit} | {_fraction(clean)} | {_fraction(figures.clip_by_digit[digit])} |"
        for digit, clean in figures.by_digit.items()
    )


def _interval(score: Score) -> str:
    low, high = score.interval()
    return f"{low:.3f} to {high:.3f}"


def _fraction(score: Score) -> str:
    return f"{score.right}/{score.total} ({score.accuracy:.3f})"
