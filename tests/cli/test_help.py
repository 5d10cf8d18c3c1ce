"""Every command's help, as a user sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from inferd.cli import cli

WIDTH = 80


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    yield path
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands(cli))


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(cli, [*arguments, "--help"], prog_name="inferd", terminal_width=WIDTH)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "inferd")
def test_the_help_of_a_command_holds_no_markup_and_fits_the_terminal(path: tuple[str, ...]) -> None:
    text = shown(*path)
    assert not re.search(r"[\\\x08]|Args:|Raises:|Returns:", text)
    assert all(len(line) <= WIDTH for line in text.partition("Options:\n")[0].splitlines())
    assert text.startswith(f"Usage: {' '.join(('inferd', *path))}")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "inferd")
def test_each_example_in_the_help_stands_on_a_line_of_its_own(path: tuple[str, ...]) -> None:
    command = " ".join(("inferd", *path))
    for line in shown(*path).splitlines()[1:]:
        assert line.count(f"{command} ") <= 1 or "`" in line, line


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "inferd")
def test_every_command_and_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    body = shown(*path)
    assert re.search(r"\n\n  [A-Z`]", body), "no description"
    for line in body.partition("Options:\n")[2].splitlines():
        assert not re.fullmatch(r"  -\S+( [A-Z]+)?", line), f"{line.strip()} has no help"


@pytest.mark.parametrize(
    ("words", "meant"), [(("dotcor",), "doctor"), (("models", "stauts"), "status"), (("config", "chek"), "check")]
)
def test_a_misspelt_command_is_answered_with_the_nearest_one(words: tuple[str, ...], meant: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert f"did you mean '{meant}'?" in result.output


def test_an_unknown_command_that_resembles_nothing_is_answered_with_all_of_them() -> None:
    result = CliRunner().invoke(cli, ["xyzzy"])
    assert result.exit_code == 2
    assert "there are run, demo, infer" in result.output
