"""`atedb.table`: words, help and version; the guide names what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest

from ate import __version__
from atedb.serving import command
from atedb.table import WORDS, examples

GUIDE = Path(__file__).resolve().parents[3] / "docs/guide/server.md"


def column(header: str) -> list[list[str]]:
    """Return the cells of the table of the guide whose first line is `header`."""
    _, found, rest = GUIDE.read_text().partition(header + "\n")
    assert found, header
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_guide_names_every_word() -> None:
    told = [(row[0].strip("`"), row[1]) for row in column("| word | |")]
    assert told == [(word, entry.brief) for word, entry in WORDS.items()]


def test_the_guide_names_every_option() -> None:
    told = {
        one
        for row in column("| option of `solo` | |")
        for one in re.findall("`(--[a-z-]+)`", row[0])
    }
    options = [one for one in command.params if isinstance(one, click.Option)]
    there = {name for one in options for name in (*one.opts, *one.secondary_opts)}
    assert told == there - {"--help"}


def test_help_and_version(atedb: Any) -> None:
    assert atedb("--version").out == f"atedb {__version__}\n"
    ran = atedb("--help")
    assert ran.status == 0
    for text in ("solo", "token", "exit status", "signals", "examples"):
        assert text in ran.out
    for word in WORDS:
        assert "examples:" in atedb(word, "--help").out
    assert "Usage" in atedb().err


@pytest.mark.parametrize("word, said", [("sole", "did you mean 'solo'"), ("xyz", "no command")])
def test_a_word_that_is_none(atedb: Any, word: str, said: str) -> None:
    ran = atedb(word)
    assert ran.status == 2
    assert said in ran.err


def test_examples_stand_in_lines() -> None:
    assert examples("a", "b") == "\b\nexamples:\n  a\n  b"
