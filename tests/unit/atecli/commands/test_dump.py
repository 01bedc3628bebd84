"""`ate dump` prints fields, and reads what no longer opens."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.atecli.conftest import Ate

import ate as library
from ate.event.access import Access, Any
from ate.event.commit import AuthorPart, SequencerPart
from ate.event.header import Header
from atecli import identity
from atecli.commands import dump

ID = "0" * 31 + "1"


def test_a_tree_for_people(ate: Ate) -> None:
    ate("put", "c", "1", "--id", ID)
    lines = ate("dump", "c").out.splitlines()
    assert lines[0].startswith("commit 0  ")
    assert any(line.startswith("└── row 2  data  ") and line.endswith(ID) for line in lines)
    assert "        body_bytes 5" in lines


def test_every_field_is_there(ate: Ate, alice: str) -> None:
    async def make() -> None:
        session = identity.load(alice, "correct battery")
        async with library.open("c", session=session) as chain:
            dio = chain.dio()
            dio.store("x", access=Access(write=Any(session.public)))
            await dio.commit()

    asyncio.run(make())
    first, second = ate("dump", "c", "--json").documents
    fields = {*AuthorPart._fields, *SequencerPart._fields} - {
        "row_count",
        "index",
        "time_us",
        "zero",
    }
    assert fields <= set(second)
    assert second["chain_id"] == first["root"]
    assert (second["suite"], second["rows_count"]) == (2, len(second["rows"]))
    assert len(second["signature"]) == 128
    row = second["rows"][-1]
    assert row["kind"] == "data"
    assert row["epoch"] == 1
    assert row["header"]["access"].startswith("Access(read=Inherit, write=Any(")


def test_rare_fields() -> None:
    header = Header(None, "bob", b"\x01" * 16, {"later": 1}, 7)
    found = {"later": 1, "author": "bob", "reply": "01" * 16, "delta": 7}
    assert dump._header(header) == found


def test_a_damaged_chain_is_shown_up_to_the_damage(ate: Ate, home: Path) -> None:
    for number in range(3):
        ate("put", "c", str(number))
    head = home / "chains/c/000001/head.000001"
    place = ate("dump", "c", "--json").documents[2]["place"] & ((1 << 40) - 1)
    content = bytearray(head.read_bytes())
    content[place + 50] ^= 1
    head.write_bytes(content)
    cut = ate("dump", "c", "--json")
    assert cut.status == 5
    assert len(cut.documents) == 2
    assert "head.000001 at byte" in cut.err


def test_values_stay_closed(ate: Ate) -> None:
    ate("put", "c", '"a secret"')
    assert "a secret" not in ate("dump", "c").out + ate("dump", "c", "--json").out


def test_a_dump_goes_on_where_it_ended(ate: Ate) -> None:
    for number in range(5):
        ate("put", "c", str(number))
    whole = ate("dump", "c", "--json").documents
    assert [one["next"] for one in whole] == [2, 3, 4, 5, 6, 7]
    for at in (0, 2, 5):
        rest = ate("dump", "c", "--json", "--from", str(whole[at]["next"])).documents
        assert rest == whole[at + 1 :]
        place = hex(whole[at]["place"])
        assert ate("dump", "c", "--json", "--from", place).documents == whole[at:]
    assert ate("dump", "c", "--from", "7").err == "ate: the end; what comes later: --from 7\n"


def test_a_dump_begins_somewhere(ate: Ate) -> None:
    ate("put", "c", "1")
    for start in ("x", "-1", str(1 << 63)):
        found = ate("dump", "c", "--from", start)
        assert (found.status, found.out) == (2, "")
    found = ate("dump", "c", "--from", hex((1 << 40) + 72))
    assert found.status == 2
    assert "is not the place of a commit" in found.err
    assert ate("dump", "c", "--tree", "--rows").status == 2
    assert ate("dump", "c", "--tree", "--from", "1").status == 2


def test_a_line_for_each_row(ate: Ate) -> None:
    for number in range(3):
        ate("put", "c", str(number))
    rows = ate("dump", "c", "--rows", "--json").documents
    assert [(one["seq"], one["commit"], one["next"]) for one in rows] == [
        (1, 0, 2), (2, 1, 3), (3, 2, 4), (4, 3, 5),
    ]  # fmt: skip
    assert ate("dump", "c", "--rows", "--json", "--from", "3").documents == rows[2:]
    lines = ate("dump", "c", "--rows").out.splitlines()
    assert lines[1].startswith("2  kind=data  id=")


def test_objects_below_their_parents(ate: Ate, alice: str) -> None:
    top = ate("put", "c", '{"a": 1}', "--as", alice).out.strip()
    ate("put", "c", "[2]", "--parent", top, "--as", alice)
    found = ate("dump", "c", "--tree", "--as", alice)
    first, second = found.out.splitlines()
    assert first.startswith(top)
    assert first.endswith('dict  {"a":1}')
    assert second.startswith("└── ")
    assert second.endswith("list  [2]")
    closed = ate("dump", "c", "--tree", "--json").documents
    assert [one["state"] for one in closed] == ["sealed", "sealed"]
    assert "value" not in closed[0]


def test_objects_of_a_damaged_chain(ate: Ate, home: Path) -> None:
    for number in range(4):
        ate("put", "c", str(number))
    head = home / "chains/c/000001/head.000001"
    place = ate("dump", "c", "--json").documents[3]["place"] & ((1 << 40) - 1)
    (home / "chains/c/000001/index").unlink()
    content = bytearray(head.read_bytes())
    content[place + 50] ^= 1
    head.write_bytes(content)
    cut = ate("dump", "c", "--tree")
    assert cut.status == 5
    assert len(cut.out.splitlines()) == 2
    assert "head.000001 at byte" in cut.err


def test_a_damaged_body_is_marked(ate: Ate, home: Path) -> None:
    ate("put", "c", '"' + "large " * 12_000 + '"')
    ate("put", "c", "1")
    body = home / "chains/c/000001/body.000001"
    content = bytearray(body.read_bytes())
    content[900] ^= 1
    body.write_bytes(content)
    found = ate("dump", "c", "--tree")
    assert found.status == 5
    assert "(damaged, " in found.out
    assert len(found.out.splitlines()) == 2


def test_a_compacted_chain(ate: Ate) -> None:
    async def make() -> None:
        async with library.open("c") as chain:
            dio = chain.dio()
            daos = [dio.store({"n": number}) for number in range(4)]
            await dio.commit()
            for dao in daos[:2]:
                dio = chain.dio()
                (await dio.load(dict, dao.id)).value = {"n": "changed"}
                await dio.commit()
            await chain.compact()

    asyncio.run(make())
    documents = ate("dump", "c", "--json").documents
    assert documents[0]["compacted"]["cut"] > 0
    rows = [row for one in documents if "rows" in one for row in one["rows"]]
    assert len(rows) == 5
    seqs = [one["seq"] for one in ate("dump", "c", "--rows", "--json").documents if "seq" in one]
    assert seqs == [row["seq"] for row in rows]
    assert ate("dump", "c").out.startswith("compacted  ")
    found = ate("verify", "c", "--deep")
    assert found.status == 0, found.out
    assert len(ate("dump", "c", "--tree", "--json").documents) == 4
