"""`ate fork` makes a chain from a point in the past."""

from __future__ import annotations

from pathlib import Path

from tests.unit.atecli.conftest import Ate

ID = "0" * 31 + "1"


def test_a_fork_of_then_and_of_now(ate: Ate, home: Path) -> None:
    ate("put", "notes", '"one"', "--id", ID)
    ate("put", "notes", '"two"', "--id", ID, "--replace")
    ate("put", "notes", '"more"')
    run = ate("fork", "notes", "old", "--at", "2")
    assert (run.status, run.out, run.err) == (0, "old: 1 object of notes as of row 2\n", "")
    assert ate("get", "old", ID).out == '"one"\n'
    told = ate("fork", "notes", "deep/new", "--json").document
    assert (told["seq"], told["objects"], told["left_out"]) == (4, 2, 0)
    assert told["source"] == "notes"
    known = ate("info", "old", "--json").document
    assert (known["fork"]["name"], known["fork"]["seq"]) == ("notes", 2)
    shown = ate("info", "old").out
    assert "forked from  notes, row 2" in shown
    assert "policy" not in shown
    assert ate("info", "notes", "--json").document["fork"] is None
    assert ate("verify", "old").status == 0
    assert {path.name for path in (home / "chains").iterdir()} == {"deep", "notes", "old"}


def test_a_fork_of_a_time(ate: Ate) -> None:
    ate("put", "notes", "1")
    when = ate("log", "notes", "--json").documents[-1]["time"]
    ate("put", "notes", "2")
    assert ate("fork", "notes", "old", "--at", when).out == "old: 1 object of notes as of row 2\n"
    assert ate("fork", "notes", "older", "--at", "1999-01-01").status == 3


def test_what_cannot_be_forked(ate: Ate) -> None:
    ate("put", "notes", "1")
    run = ate("fork", "notes", "notes")
    assert run.status == 7
    assert "already" in run.err
    assert ate("fork", "notes", "x", "--at", "99").status == 3
    assert ate("fork", "nothing", "x").status == 3
    assert ate("fork", "notes", "no//name").status == 2
    assert ate("chains").out.count("\n") == 2


def test_who_may_not_read_all(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--as", alice)
    run = ate("fork", "notes", "x")
    assert run.status == 2
    assert "--as NAME" in run.err
    run = ate("fork", "notes", "x", "--as", "bob")
    assert run.status == 4
    assert "1 cannot be read" in run.err
    assert "--skip-unreadable" in run.err
    run = ate("fork", "notes", "x", "--as", "bob", "--skip-unreadable")
    assert "1 object left out" in run.err
    assert run.out == "x: 0 objects of notes as of row 4\n"
    run = ate("fork", "notes", "mine", "--as", alice)
    assert run.out.startswith("mine: 1 object")
    assert ate("ls", "mine", "--as", alice, "--json").document["value"] == 1


def test_packed_bodies_stay_packed(ate: Ate, home: Path) -> None:
    import ate as library
    from ate.trust.compression import Zstd

    where = home / "chains"
    with library.blocking.open("notes", path=where, plugins=[Zstd()]) as chain:
        dio = chain.dio()
        dio.store("word " * 1000)
        dio.commit()
    ate("fork", "notes", "x")
    sizes = [
        row["bytes"] for name in ("notes", "x") for row in ate("log", name, "--json").documents
    ]
    assert sizes[1] == sizes[3] < 500
