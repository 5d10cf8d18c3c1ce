"""Manifests: what is read, and how each mistake is told."""

from __future__ import annotations

import pytest

from inferd.errors import ModelError
from inferd.store.description.manifest_file import parse_manifest
from inferd.wire.manifest import Manifest


def manifest_of(text: str) -> Manifest:
    return parse_manifest("m.toml", text.encode())


def test_an_empty_manifest_says_nothing() -> None:
    assert manifest_of("") == Manifest()


def test_all_sections_are_read() -> None:
    text = """
    [model]
    name = "digits"
    [input]
    mean = [0]
    std = [255]
    [output]
    labels = ["a", "b"]
    [budget]
    latency_p95_ms = 5
    [golden]
    samples = "digits.npz"
    """
    read = manifest_of(text)
    assert (read.model.name, read.input.std, read.output.labels) == ("digits", (255.0,), ("a", "b"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[outptu]", r"the top level has no key 'outptu'; did you mean 'output'\?"),
        ("[output]\ntreshold = 1", r"\[output\] has no key 'treshold'; did you mean 'threshold'\?"),
        ("[input]\nlabels = 'a'", r"\[input\] has no key 'labels'; did you mean '\[output\] labels'\?"),
        ("[model]\nxyz = 1", r"\[model\] has no key 'xyz'; there are name, version, task"),
        ("[output]\nthreshold = 'high'", "output.threshold is 'high'; it must be a number"),
        ("[input]\nresize = 'squash'", "input.resize is 'squash'; there are stretch, letterbox, crop"),
        ("[input]\nmean = 127.5\nstd = [1]", "input.mean is 127.5; it must be a list"),
        ("[output]\nthreshold = 1.5", "output.threshold is 1.5; it must lie between 0 and 1"),
        ("[output]\nthreshold = nan", "output.threshold is nan"),
        ("[output]\ntop_k = 0", "output.top_k is 0; it must lie between 1 and"),
        ("[input]\nletterbox_fill = 300", "input.letterbox_fill is 300"),
        ("[input]\nmean = [1]", "only one of mean and std"),
        ("[input]\nmean = [1]\nstd = [0]", "input.std is 0"),
        ("[input]\nmean = [inf]\nstd = [1]", "input.mean holds"),
        ("[input]\nmean = []\nstd = []", "input.mean holds"),
        ("[input]\nmean = [1]\nstd = [1]\nrange = [0, 1]", "says both range and mean/std"),
        ("[input]\nrange = [1, 1]", "input.range begins where it ends"),
        ("[output]\nlabels = '../labels.txt'", "which would leave its folder"),
        ("[golden]\nsamples = '/etc/passwd'", "which would leave its folder"),
        ("[model]\nname = 'a/b'", "model.name is 'a/b'"),
        ("schema_version = 2", "has schema_version 2; this inferd reads 1"),
        ("[model", "is not TOML"),
        ("a = " + "[" * 30_000, "is not TOML: it is nested too deeply"),
        ("#" * 70_000, "has 70,000 bytes; a manifest has at most 65,536"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(text: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=f"^m.toml: .*{sentence}"):
        manifest_of(text)


def test_what_is_not_text_is_told() -> None:
    with pytest.raises(ModelError, match="is not TOML"):
        parse_manifest("m.toml", b"\xff\xfe\x00")


NESTED = {
    "arrays": f"x = {'[' * 3000}",
    "whole arrays": f"x = {'[' * 3000}{']' * 3000}",
    "arrays where labels stand": f"[output]\nlabels = {'[' * 300}{']' * 300}",
    "tables": "x = " + "{a = " * 3000 + "1" + "}" * 3000,
    "keys": "[" + ".".join("a" * 1 for _ in range(3000)) + "]\n",
    "keys below output": "output." + ".".join("a" for _ in range(3000)) + " = 1\n",
}


@pytest.mark.parametrize("name", NESTED)
def test_a_manifest_that_is_nested_without_end_is_refused(name: str) -> None:
    with pytest.raises(ModelError):
        parse_manifest("m.toml", NESTED[name].encode())
