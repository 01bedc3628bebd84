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
