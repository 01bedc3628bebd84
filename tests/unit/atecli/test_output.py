"""Results go to stdout, line by line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from atecli import output


def test_lines_and_documents(capsys: pytest.CaptureFixture[str]) -> None:
    output.lines(["a", "b"])
    output.line()
    output.line("c", now=True)
    output.document({"n": 1}, now=True)
    output.flush()
    assert capsys.readouterr().out == 'a\nb\n\nc\n{"n":1}\n'


def test_bytes_behind_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open(1, "w", closefd=False) as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        output.line("first")
        output.raw(b"\xff\x00")
        assert not output.is_terminal()
    assert capfdbinary.readouterr().out == b"first\n\xff\x00"


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "proof"
    for content in (b"one", b"two"):
        output.replace(target, content)
        assert target.read_bytes() == content
    (tmp_path / "folder.part").mkdir()
    with pytest.raises(OSError):
        output.replace(tmp_path / "folder", b"x")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder.part", "proof"]
