"""`ate --help` is made from a table, and every word in it is a command."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from atecli.exits import EXITS
from atecli.table import WORDS, ate

NAMES = [word for group in WORDS.values() for word in group]


def test_help_names_every_word_status_and_variable() -> None:
    shown = ate.get_help(click.Context(ate, info_name="ate"))
    for group, words in WORDS.items():
        assert f"{group}:\n" in shown
        for word, entry in words.items():
            assert entry.brief in shown
            assert f"  {word} " in shown
    for row in EXITS:
        assert row.meaning in shown
    assert "ATE_HOME" in shown


@pytest.mark.parametrize("name", NAMES)
def test_each_word_is_a_command_with_examples(name: str) -> None:
    context = click.Context(ate, info_name="ate")
    command = ate.get_command(context, name)
    assert command is not None
    assert command.name == name
    shown = command.get_help(click.Context(command, context, info_name=name))
    assert "Examples:\n    " in shown
    assert f"ate {name}" in shown


def test_commands_are_listed_in_the_order_of_the_table() -> None:
    assert ate.list_commands(click.Context(ate)) == NAMES
    assert ate.get_command(click.Context(ate), "nothing") is None


def test_a_near_miss_is_guessed() -> None:
    context = click.Context(ate, info_name="ate")
    with pytest.raises(click.UsageError, match="'verfy', did you mean 'verify'"):
        ate.resolve_command(context, ["verfy"])
    with pytest.raises(click.UsageError, match=r"command 'qqq'$"):
        ate.resolve_command(context, ["qqq"])
    assert ate.resolve_command(context, ["ls", "x"])[0] == "ls"


def test_the_group_itself_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit):
        ate.make_context("ate", ["--version"])
    assert capsys.readouterr().out.startswith("ate ")
    with ate.make_context("ate", ["completion", "fish"]) as context:
        ate.invoke(context)
    assert "complete" in capsys.readouterr().out


def test_the_guide_knows_every_word_and_status() -> None:
    guide = (Path(__file__).parents[3] / "docs/guide/cli.md").read_text()
    assert [
        name for name in NAMES if f"`ate {name} " not in guide and f"`ate {name}`" not in guide
    ] == []
    assert [row for row in EXITS if f"| {row.status} | {row.meaning}" not in guide] == []
