"""Fixtures of the command line: run it in this process, with a home of its own."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atecli.main import main

PASSPHRASE = "correct battery"


@dataclass(frozen=True)
class Run:
    """What a run of the command said."""

    status: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        (found,) = self.documents
        return found


Ate = Callable[..., Run]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ATE_IDENTITY", "ATE_DEBUG", "ATE_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def ate(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ate:
    """Return a function that runs `ate`: words, and what is on stdin."""

    def run(*words: str, stdin: str = "") -> Run:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        status = main(words)
        said = capsys.readouterr()
        return Run(status, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make alice and bob once: stretching a passphrase takes its time."""
    from ate.session import Session
    from atecli import identity

    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob"):
        session = Session.new(f"{name}@example.org")
        session.save(folder / f"{name}.key", PASSPHRASE)
        (folder / f"{name}.pub").write_text(identity.encode(session.public) + "\n")
    return folder


@pytest.fixture
def alice(ate: Ate, home: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of an identity whose passphrase the command finds by itself."""
    shutil.copytree(keys, home / "keys")
    passphrase = home.parent / "pass"
    passphrase.write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("ATE_PASSPHRASE_FILE", str(passphrase))
    return "alice"


class Server:
    """An `atedb solo` for chains without keys, to be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, 0
        self.start()

    def start(self, *gate: str) -> None:
        gate = gate or ("--no-auth",)
        words = ["solo", str(self._folder), *gate, "--json", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "atedb", *words],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self.url, self._port = ready["url"], ready["port"]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def server(tmp_path: Path, home: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    yield made
    made.stop()
