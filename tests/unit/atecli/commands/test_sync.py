"""`ate sync` sends what waits; what was refused stays until somebody decides about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate, Server

ID = "0" * 31 + "1"


def test_what_waits_is_sent(ate: Ate, server: Server, tmp_path: Path) -> None:
    where = ("--url", server.url, "--path", str(tmp_path / "copy"))
    ate("put", "notes", '"milk"', "--id", ID, *where)
    server.stop()
    ate("put", "notes", '"oat milk"', "--id", ID, "--replace", *where)
    assert ate("sync", "notes", *where, "--timeout", "0.2").status == 9
    server.start()
    done = ate("sync", "notes", *where, "--json")
    assert done.status == 0
    assert done.document["pending"] == 0
    assert ate("get", "notes", ID, "--url", server.url).out == '"oat milk"\n'


@pytest.mark.parametrize("how, left", [("--drop", '"theirs"\n'), ("--overwrite", '"mine"\n')])
def test_refused_work_is_decided_about(
    ate: Ate, server: Server, tmp_path: Path, how: str, left: str
) -> None:
    where = ("--url", server.url, "--path", str(tmp_path / "copy"))
    ate("put", "notes", '"milk"', "--id", ID, *where)
    server.stop()
    ate("put", "notes", '"mine"', "--id", ID, "--replace", *where)
    server.start()
    ate("put", "notes", '"theirs"', "--id", ID, "--replace", "--url", server.url)

    said = ate("sync", "notes", *where)
    assert said.status == 7
    assert "conflict 1" in said.out
    assert "mine    mine" in said.out
    assert "theirs  theirs" in said.out
    (conflict,) = ate("status", "notes", *where, "--json").document["conflicts"]
    assert conflict["changes"] == [{"id": ID, "mine": "mine", "theirs": "theirs"}]

    assert ate("sync", "notes", *where, how).status == 0
    assert ate("status", "notes", *where, "--json").document["conflicts"] == []
    assert ate("get", "notes", ID, "--url", server.url).out == left


def test_wrong_words(ate: Ate) -> None:
    assert ate("sync", "notes").status == 2
    assert ate("sync", "notes", "--url", "ws://x/", "--drop", "--overwrite").status == 2
