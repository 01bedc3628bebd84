"""`ate status` tells whether there is a server, what waits for it, and what it refused."""

from __future__ import annotations

from pathlib import Path

from tests.unit.atecli.conftest import Ate, Server

from atedb.tokens import TokenKey

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


def test_refused_work_is_shown_beside_what_is_there_now(
    ate: Ate, server: Server, tmp_path: Path
) -> None:
    where, other = ("--url", server.url, "--path", str(tmp_path / "copy")), "0" * 31 + "2"
    ate("put", "notes", '"milk"', "--id", ID, *where)
    ate("put", "notes", '"bread"', "--id", other, *where)
    server.stop()
    assert ate("put", "notes", '"mine"', "--id", ID, "--replace", *where).status == 0
    assert ate("rm", "notes", other, *where).status == 0
    server.start()
    ate("rm", "notes", ID, "--url", server.url)
    ate("put", "notes", '"theirs"', "--id", other, "--replace", "--url", server.url)

    said = ate("status", "notes", *where)
    assert said.status == 7
    assert "conflict 1: " in said.out
    assert "conflict 2: " in said.out
    assert f"  object  {ID}\n  mine    mine\n  theirs  (deleted)\n" in said.out
    assert f"  object  {other}\n  mine    (deleted)\n  theirs  theirs\n" in said.out
    assert "`ate sync` with --drop or --overwrite" in said.err
    told = ate("status", "notes", *where, "--json").document
    assert (told["pending"], told["trouble"]) == (0, None)
    assert {one["code"] for one in told["conflicts"]} == {"conflict"}
    assert ate("status", "notes", *where).status == 7, "looking decides about nothing"


def test_a_server_that_does_not_let_us_in_is_not_an_absent_one(
    ate: Ate, server: Server, tmp_path: Path
) -> None:
    where = ("--url", server.url, "--path", str(tmp_path / "copy"))
    ate("put", "notes", '"milk"', "--id", ID, *where)
    server.stop()
    key = tmp_path / "token.key"
    TokenKey.create(key, "notes")
    server.start("--auth", str(key))
    said = ate("status", "notes", *where)
    assert said.status == 4
    assert "offline, " in said.out
    assert "token" in said.err
