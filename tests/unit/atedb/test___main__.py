"""`python -m atedb` is the command."""

from __future__ import annotations

import runpy
import sys

import pytest


def test_the_module_is_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["atedb", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("atedb", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("atedb ")
