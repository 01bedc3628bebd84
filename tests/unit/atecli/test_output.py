"""Results go to stdout, line by line."""

from __future__ import annotations

import pytest

from atecli import output


def test_lines_and_documents(capsys: pytest.CaptureFixture[str]) -> None:
    output.lines(["a", "b"])
    output.line()
    output.line("c", now=True)
    output.document({"n": 1}, now=True)
    output.flush()
    assert capsys.readouterr().out == 'a\nb\n\nc\n{"n":1}\n'
