"""`ate status` tells whether there is a server, what waits for it, and what it refused."""

from __future__ import annotations

from pathlib import Path

from tests.unit.atecli.conftest import Ate, Server

ID = "0" * 31 + "1"


def test_a_chain_that_is_shared_and_all_is_sent(ate: Ate, server: Server, tmp_path: Path) -> None:
    where = ("--url", server.url, "--path", str(tmp_path / "copy"))
    assert ate("put", "notes", '"milk"', "--id", ID, *where).status == 0
    assert ate("get", "notes", ID, "--url", server.url).out == '"milk"\n'
    assert "milk" in ate("ls", "notes", "--url", server.url).out
    known = ate("status", "notes", *where, "--json")
    assert known.status == 0
    assert known.document["online"] is known.document["current"] is True
    assert (known.document["pending"], known.document["conflicts"]) == (0, [])
    said = ate("status", "notes", *where)
    assert "online" in said.out
    assert "all that the server has" in said.out
    assert "nothing" in said.out


def test_work_without_a_server_waits_and_is_told(ate: Ate, server: Server, tmp_path: Path) -> None:
    where = ("--url", server.url, "--path", str(tmp_path / "copy"))
    ate("put", "notes", '"milk"', "--id", ID, *where)
    server.stop()
    done = ate("put", "notes", '"bread"', *where)
    assert done.status == 0
    assert "ate sync" in done.err
    said = ate("status", "notes", *where)
    assert said.status == 9
    assert "offline" in said.out
    assert "1 commit" in said.out
    assert ate("status", "notes", *where, "--json").document["pending"] == 1
    server.start()


def test_a_server_is_needed(ate: Ate) -> None:
    assert ate("status", "notes").status == 2
    gone = ate("get", "notes", ID, "--url", "ws://127.0.0.1:1/")
    assert gone.status == 9
    assert ate("put", "notes", "1", "--url", "gopher://x").status == 2
