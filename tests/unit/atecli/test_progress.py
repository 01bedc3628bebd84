"""A bar is for a terminal; nobody else pays for it."""

from __future__ import annotations

import sys

import pytest

from atecli.progress import bar, meter


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("importing", 10) as advance:
        advance(5)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_it_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with bar("importing", 10) as advance:
        advance(5)
        advance(5)
    said = capsys.readouterr()
    assert said.out == ""
    assert "importing" in said.err


def test_work_that_says_itself_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with meter("compacting") as tell:
        tell(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with meter("compacting") as tell:
        tell(1, 4)
        tell(3, 3)
    assert "compacting" in capsys.readouterr().err
