"""`atedb.serving`: options become settings, and a server that says when it is ready."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import click
import pytest

from atedb.quota import Allowance
from atedb.serving import command, settings_of
from atedb.settings import Service, Settings
from atedb.solo import Solo
from atedb.throttle import Rate


def settings(*words: str) -> Settings:
    with command.make_context("solo", list(words)) as context:
        found = settings_of(dict(context.params))
    assert isinstance(found, Settings)
    return found


def test_the_defaults_are_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATE_HOME", str(tmp_path))
    found = settings()
    found.check()
    assert found == Settings(path=tmp_path / "server")
    assert found.is_local


def test_options_are_settings() -> None:
    found = settings(
        "data", "--listen", "::", "--service", "/a=b", "--no-auth", "--no-auth",
        "--max-chains", "3", "--max-subscriptions", "4", "--commits-per-second", "1,2,3",
        "--quota-bytes", "5", "--quota-chains", "6", "--idle-close", "7", "--no-create",
        "--compact", "never",
    )  # fmt: skip
    assert found.path == Path("data")
    assert found.services == (Service("/a", Path("b")),)
    assert (found.no_auth, found.create, found.idle_close_s) == (2, False, 7.0)
    assert found.compact == "never"
    assert found.quota == Allowance(5, 6)
    assert (found.bounds.chains, found.bounds.subscriptions) == (3, 4)
    assert found.bounds.server == Rate(3, 0)


def test_every_option_says_what_it_does() -> None:
    silent = [
        one.name
        for one in command.params
        if isinstance(one, click.Option) and not one.help and not str(one.name).startswith("max_")
    ]
    assert not silent


@pytest.mark.parametrize("words", [("--service", "a"), ("--service", "/a=")])
def test_a_service_is_a_path_and_a_directory(atedb: Any, words: tuple[str, ...]) -> None:
    ran = atedb("solo", *words)
    assert ran.status == 2
    assert "--service /name=DIRECTORY" in ran.err


@pytest.mark.parametrize("as_json", [False, True])
def test_it_says_when_it_is_ready(
    atedb: Any, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    facts = Solo.facts

    def ending(self: Solo) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return facts(self)

    monkeypatch.setattr(Solo, "facts", ending)
    ran = atedb("solo", "data", "--port", "0", *(["--json"] if as_json else []))
    assert ran.status == 0
    if as_json:
        assert ran.document["event"] == "ready"
        assert [json.loads(line)["event"] for line in ran.err.splitlines()][-1] == "stopped"
    else:
        assert ran.out.startswith("atedb ready ws://127.0.0.1:")
        assert ran.out.count("\n") == 1
