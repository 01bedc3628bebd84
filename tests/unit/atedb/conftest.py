"""Fixtures of the server: run its command in this process, with a home of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atedb.main import main


@dataclass(frozen=True)
class Run:
    """What a run of the command said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Atedb = Callable[..., Run]


@pytest.fixture
def atedb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Atedb:
    """Return a function that runs `atedb`."""
    monkeypatch.delenv("ATE_DEBUG", raising=False)
    monkeypatch.setenv("ATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Run:
        status = main(words)
        said = capsys.readouterr()
        return Run(status, said.out, said.err)

    return run
