"""`atedb.exits`: one status for each kind of end, the same as that of `ate`."""

from __future__ import annotations

import io
import json
import sys

import click
import pytest

from ate import errors
from atecli import exits as ate_exits
from atedb.exits import EXITS, described, say, status_of, tell


def test_the_statuses_are_those_of_ate() -> None:
    for error in (
        errors.UsageError(), errors.LimitExceeded("a", 2, 1), errors.NotFound(),
        errors.BadSignature(), errors.StorageError(), errors.LogLocked(), errors.OutOfSpace(),
        errors.NetworkError(), OSError(28, "full"), OSError(5, "broken"), FileNotFoundError(),
        FileExistsError(), ValueError(), KeyboardInterrupt(), click.UsageError("x"),
    ):  # fmt: skip
        assert status_of(error) == ate_exits.status_of(error)
    assert len({row.status for row in EXITS}) == len(EXITS)


def test_people_get_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(errors.LogLocked("taken", hint="wait"), as_json=False) == 6
    assert capsys.readouterr().err == "atedb: taken\natedb: hint: wait\n"
    say("a\nb\x1b")
    assert capsys.readouterr().err == "atedb: a?b?\n"


def test_machines_get_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(click.UsageError("No such thing."), as_json=True) == 2
    assert json.loads(capsys.readouterr().err)["error"] == {
        "code": "usage", "message": "no such thing", "exit": 2, "hint": "try `atedb --help`",
    }  # fmt: skip


def test_an_unknown_error_keeps_its_text_to_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        raise ValueError("a secret")
    except ValueError as error:
        caught = error
    assert tell(caught, as_json=False) == 1
    said = capsys.readouterr().err
    assert "ValueError in test_exits.py" in said
    assert "secret" not in said
    monkeypatch.setenv("ATE_DEBUG", "1")
    tell(caught, as_json=False)
    assert "Traceback" in capsys.readouterr().err


def test_descriptions() -> None:
    assert described(FileNotFoundError(2, "No such file", "a/b"))[1] == "b: no such file"
    assert described(KeyboardInterrupt())[0] == "interrupted"


def test_a_closed_stderr_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    say("x")


def test_a_server_that_was_deposed_has_a_status_of_its_own() -> None:
    """A supervisor starts it again, and it stands by."""
    assert status_of(errors.Deposed()) == 10
