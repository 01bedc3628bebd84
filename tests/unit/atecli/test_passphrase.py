"""Passphrases come from files, stdin or a terminal, and never show up anywhere else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from ate.errors import NotFound, StorageError, UsageError
from atecli import passphrase


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATE_PASSPHRASE_FILE", raising=False)


def terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let a terminal give these answers; returns what it was asked."""
    asked: list[str] = []
    waiting = list(answers)

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    monkeypatch.setattr(passphrase, "_has_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", getpass)
    return asked


@pytest.mark.parametrize("content", ["a b", "a b\n", "a b\r\n"])
def test_a_file_holds_it_with_or_without_a_line_end(tmp_path: Path, content: str) -> None:
    file = tmp_path / "pass"
    file.write_bytes(content.encode())
    assert passphrase.ask("x", file=str(file)) == "a b"


def test_the_environment_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pass").write_text("a b\n\n")
    monkeypatch.setenv("ATE_PASSPHRASE_FILE", str(tmp_path / "pass"))
    assert passphrase.ask("x") == "a b\n"


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b\n")))
    assert passphrase.is_stdin("-")
    assert not passphrase.is_stdin("file")
    assert not passphrase.is_stdin(None)
    assert passphrase.ask("x", file="-") == "a b"


def test_files_that_are_no_passphrase(tmp_path: Path) -> None:
    file = tmp_path / "pass"
    with pytest.raises(NotFound, match="no passphrase file pass"):
        passphrase.ask("x", file=str(file))
    with pytest.raises(StorageError):
        passphrase.ask("x", file=str(tmp_path))
    file.write_bytes(b"x" * 5000)
    with pytest.raises(UsageError, match="at most 4096"):
        passphrase.ask("x", file=str(file))
    file.write_bytes(b"\n")
    with pytest.raises(UsageError, match="is empty"):
        passphrase.ask("x", file=str(file))


def test_bytes_that_are_no_text_are_not_told(tmp_path: Path) -> None:
    file = tmp_path / "pass"
    file.write_bytes(b"secret\xff")
    with pytest.raises(UsageError, match="not UTF-8") as raised:
        passphrase.ask("x", file=str(file))
    assert raised.value.__context__ is None


def test_a_terminal_is_asked_once_or_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = terminal(monkeypatch, "one")
    assert passphrase.ask("passphrase of x") == "one"
    assert asked == ["passphrase of x: "]
    asked = terminal(monkeypatch, "one", "one")
    assert passphrase.ask("new", confirm=True) == "one"
    assert asked == ["new: ", "again: "]


def test_answers_that_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, "one", "two")
    with pytest.raises(UsageError, match="differ"):
        passphrase.ask("new", confirm=True)
    terminal(monkeypatch, "")
    with pytest.raises(UsageError, match="is empty"):
        passphrase.ask("new", confirm=True)
    terminal(monkeypatch)
    with pytest.raises(UsageError, match="no passphrase was given"):
        passphrase.ask("new")


def test_without_a_terminal_the_hint_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "_has_terminal", lambda: False)
    with pytest.raises(UsageError) as raised:
        passphrase.ask("x")
    assert "--passphrase-file" in raised.value.hint


def test_whether_there_is_a_terminal_is_found_out_by_trying(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise OSError

    monkeypatch.setattr("os.open", refuse)
    assert not passphrase._has_terminal()
    closed: list[int] = []
    monkeypatch.setattr("os.open", lambda *_: 99)
    monkeypatch.setattr("os.close", closed.append)
    assert passphrase._has_terminal()
    assert closed == [99]
