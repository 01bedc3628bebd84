"""The table of statuses covers every error, and what is said keeps the voice."""

from __future__ import annotations

import errno
import json

import click
import pytest

from ate import errors
from atecli import exits


@pytest.mark.parametrize(
    "error, status",
    [
        (errors.UsageError("x"), 2),
        (errors.LimitExceeded("rows", 2, 1), 2),
        (click.UsageError("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.Deleted("x"), 3),
        (errors.WrongType("x"), 3),
        (FileNotFoundError(errno.ENOENT, "x"), 3),
        (errors.CannotOpen("x"), 4),
        (errors.WriteDenied("x"), 4),
        (errors.CorruptLog("x"), 5),
        (errors.ProtocolError("x"), 5),
        (PermissionError(errno.EACCES, "x"), 5),
        (errors.LogLocked("x"), 6),
        (errors.Conflict("x"), 7),
        (errors.Refused("x"), 7),
        (FileExistsError(errno.EEXIST, "x"), 7),
        (errors.OutOfSpace("x"), 8),
        (OSError(errno.ENOSPC, "x"), 8),
        (errors.TimedOut("x"), 9),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(errno.EPIPE, "x"), 141),
        (exits.Failed(5), 5),
        (ZeroDivisionError(), 1),
    ],
)
def test_each_error_has_its_status(error: BaseException, status: int) -> None:
    assert exits.status_of(error) == status


def test_every_error_of_the_library_has_one() -> None:
    internal = [
        cls.__name__
        for cls in errors.codes().values()
        if cls is not errors.AteError and exits.status_of(cls.__new__(cls)) == exits.INTERNAL
    ]
    assert internal == []


def test_statuses_are_said_once() -> None:
    statuses = [row.status for row in exits.EXITS]
    assert statuses == sorted(set(statuses))


def told(error: Exception, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    exits.tell(error, as_json=as_json)
    return capsys.readouterr().err


def test_an_error_is_a_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(errors.NotFound("no chain", hint="look around"), capsys)
    assert said == "ate: no chain\nate: hint: look around\n"
    assert told(errors.NotFound("no chain"), capsys) == "ate: no chain\n"


def test_hints_speak_of_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for cls in (errors.LogLocked, errors.OutOfSpace, errors.Conflict, errors.WriteDenied):
        said = told(cls("x"), capsys)
        assert "hint" in said
        assert "Dio" not in said
        assert "=True" not in said


def test_what_a_stranger_named_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "\x1b" not in told(errors.NotFound("no \x1b[2J\nchain"), capsys)


def test_errors_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(errors.LogLocked("busy"), capsys, as_json=True)
    assert json.loads(said)["error"] == {
        "code": "log_locked",
        "message": "busy",
        "exit": 6,
        "hint": exits._SHELL_HINTS[errors.LogLocked],
    }
    said = told(errors.NotFound("no chain"), capsys, as_json=True)
    assert "hint" not in json.loads(said)["error"]


def test_wrong_usage_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(click.Command("ls"), info_name="ate ls")
    said = told(click.UsageError("No such option '--x'.", context), capsys)
    assert said == "ate: no such option '--x'\nate: hint: try `ate ls --help`\n"
    assert "try `ate --help`" in told(click.ClickException("Odd."), capsys)


def test_files_are_named_without_their_folder(capsys: pytest.CaptureFixture[str]) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "/secret/place/out.csv")
    assert told(error, capsys) == "ate: out.csv: permission denied\n"
    assert told(OSError(), capsys) == "ate: input or output failed\n"


def test_the_unforeseen_is_told_without_its_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ATE_DEBUG", raising=False)
    with pytest.raises(KeyError) as raised:
        raise KeyError("a passphrase")
    said = told(raised.value, capsys)
    assert said.startswith("ate: internal error: KeyError in test_exits.py line ")
    assert "ATE_DEBUG=1" in said
    assert "a passphrase" not in said
    monkeypatch.setenv("ATE_DEBUG", "1")
    assert "Traceback" in told(raised.value, capsys)
    assert told(ValueError(), capsys).startswith("ate: internal error: ValueError\n")


def test_what_has_been_said_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(exits.Failed(5), capsys) == ""
    assert told(click.Abort(), capsys) == ""


def test_a_group_without_a_word_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(click.Group("keys"), info_name="ate keys")
    assert told(click.exceptions.NoArgsIsHelpError(context), capsys).startswith("Usage: ate keys")


def test_a_closed_stderr_is_nobodys_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _: str) -> int:
            raise ValueError("closed")

        def flush(self) -> None:
            raise ValueError("closed")

    monkeypatch.setattr("sys.stderr", Closed())
    exits.say("hello")
