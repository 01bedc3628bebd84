"""Every end of a run becomes one status, and none a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click
import pytest

from ate.errors import LogLocked
from atecli import table
from atecli.main import main


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Replace a command by one that raises what the test puts here."""
    errors: list[BaseException] = []

    @click.command("ls")
    @click.option("--json", is_flag=True)
    def command(**_: Any) -> NoReturn:
        sys.stdout.write("something\n")
        raise errors[0]

    monkeypatch.setattr(table.Table, "get_command", lambda *_: command)
    return errors


@pytest.mark.parametrize(
    "error, status, told",
    [
        (LogLocked("busy"), 6, "ate: busy\nate: hint: wait for the other program"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (KeyError("secret"), 1, "ate: internal error: KeyError in test_main.py line "),
        (click.exceptions.Exit(3), 3, ""),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_error_becomes_a_status_and_a_line(
    error: BaseException,
    status: int,
    told: str,
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing.append(error)
    assert main(["ls"]) == status
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert bool(said) is bool(told)
    assert "Traceback" not in said
    assert "secret" not in said


def test_errors_are_json_when_json_was_asked_for(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(LogLocked("busy"))
    assert main(["ls", "--json"]) == 6
    assert capsys.readouterr().err.startswith('{"error": {"code": "log_locked", ')


def test_a_command_that_ends_well_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out


def test_a_stdout_that_is_gone_is_replaced(
    failing: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left in the buffer must not make the interpreter complain at its end."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr("sys.stdout", gone)
        failing.append(KeyboardInterrupt())
        assert main(["ls"]) == 130
        gone.flush()


def test_completion_is_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "_ATE_COMPLETE": "bash_complete", "COMP_WORDS": "ate comp", "COMP_CWORD": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out == "plain,compact\nplain,completion\n"
