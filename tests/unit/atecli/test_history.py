"""Rows with names instead of numbers, as far as keys open them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import ate
from ate.chain.view import View
from ate.client import Chain
from ate.errors import Compacted, NoReadKey
from ate.event.commit import Record
from ate.event.row import Row
from ate.ids import ObjectId
from ate.session import Session
from atecli import history
from atecli.columns import typed
from atecli.history import Entry, History

ID = ObjectId(bytes(15) + b"\x01")


@pytest.fixture(scope="module")
def session() -> Session:
    return Session.new("alice@example.org")


@pytest.fixture
async def chain(session: Session, tmp_path: Path) -> AsyncIterator[Chain]:
    async with ate.open("notes", path=tmp_path, session=session) as made:
        dio = made.dio()
        dio.store(typed({"n": 1}, "Thing"), id=ID)
        await dio.commit()
        dao = await dio.load(object, ID)
        dao.value = {"n": 2}
        await dio.commit()
        dio.delete(ID)
        await dio.commit()
        yield made


async def entries(chain: Chain, first: int = 1, object_id: bytes | None = None) -> list[Entry]:
    history = History(chain)
    if object_id is not None:
        return [entry async for entry in history.versions(object_id, first, chain.head)]
    reading = history.entries(first, chain.head)
    return [entry async for entry in reading]


async def test_each_row_has_its_words(chain: Chain) -> None:
    found = await entries(chain)
    assert [entry.seq for entry in found] == list(range(1, chain.head + 1))
    assert found[0].kind == "genesis"
    assert found[0].type == "-"
    assert {entry.author for entry in found} == {"alice@example.org"}
    own = await entries(chain, object_id=ID)
    assert [(entry.kind, entry.type) for entry in own] == [
        ("new", "Thing"), ("update", "Thing"), ("delete", "Thing"),
    ]  # fmt: skip


async def test_a_tombstone_borrows_the_type_of_what_it_deleted(chain: Chain) -> None:
    (entry,) = await entries(chain, chain.head)
    assert (entry.kind, entry.type) == ("delete", "Thing")


async def test_a_second_life_is_new(chain: Chain) -> None:
    dio = chain.dio()
    dio.store(typed({"n": 9}, "Thing"), id=ID)
    await dio.commit()
    (entry,) = await entries(chain, chain.head)
    assert entry.kind == "new"
    own = await entries(chain, chain.head - 1, object_id=ID)
    assert [one.kind for one in own] == ["delete", "new"]


async def test_one_row_and_its_value(chain: Chain, tmp_path: Path) -> None:
    history = History(chain)
    assert history.knows(ID)
    assert not history.knows(bytes(15) + b"\x09")
    assert (await history.entry(chain.head - 1)).kind == "update"
    assert await history.value(chain.head - 1) == {"n": 2}
    async with ate.open("notes", path=tmp_path, readonly=True) as closed:
        with pytest.raises(NoReadKey):
            await History(closed).value(chain.head - 1)


async def test_where_versions_were_dropped_is_told(chain: Chain) -> None:
    (first, *_, last) = await entries(chain, object_id=ID)

    class Holed(View):
        def find(self, seq: int) -> tuple[Record, int]:
            if seq == first.seq:
                raise Compacted("dropped")
            return super().find(seq)

    history = History(chain)
    history.view.__class__ = Holed
    found = [one async for one in history.versions(ID, 1, chain.head)]
    assert [one.seq for one in found] == [last.seq - 1, last.seq]
    assert history.has_gaps


async def test_events_carry_values(chain: Chain) -> None:
    found = [pair async for pair in History(chain).events(1, chain.head)]
    assert [(entry.kind, event.value) for entry, event in found] == [
        ("new", {"n": 1}), ("update", {"n": 2}), ("delete", None),
    ]  # fmt: skip


async def test_without_a_key_types_are_numbers(chain: Chain, tmp_path: Path) -> None:
    async with ate.open("notes", path=tmp_path, readonly=True) as closed:
        own = await entries(closed, object_id=ID)
        assert {entry.type for entry in own} == {f"#{history.schema_id('Thing'):08x}"}
        assert own[0].author == "alice@example.org"
        events = [event async for _, event in History(closed).events(1, closed.head)]
        assert [event.value for event in events] == [None, None, None]


async def test_heads_follow_another_handle(chain: Chain, tmp_path: Path) -> None:
    async with ate.open("notes", path=tmp_path, readonly=True) as reader:
        assert [head async for head in history.heads(reader, follow=False)] == [chain.head]
        following = history.heads(reader, follow=True)
        assert await anext(following) == chain.head
        dio = chain.dio()
        dio.store({"n": 3})
        await dio.commit()
        assert await anext(following) == chain.head
        await following.aclose()  # type: ignore[attr-defined]


async def test_facts(chain: Chain, session: Session) -> None:
    facts = history.facts_of(chain)
    assert (facts["name"], facts["head"], facts["suite"]) == ("notes", chain.head, 2)
    assert facts["roots"] == [
        {"identity": "alice@example.org", "key_id": session.public.key_id.hex()}
    ]
    assert facts["roles"] == {"root": 1}
    assert any(name.endswith("head.000001") for name in facts["files"])
    assert history.is_signed(chain)


async def test_a_chain_without_keys() -> None:
    async with ate.open("plain", memory=True) as chain:
        assert not history.is_signed(chain)
        assert (await entries(chain))[0].author == ""


def test_kinds_of_a_newer_version_are_numbers() -> None:
    row = Row(200, 0, 0, 0, 0, bytes(16), bytes(16), 0, 0, bytes(16), 0, bytes(32), 0, 0, 0)
    assert history.kind_of(row) == "kind 200"


async def test_an_unknown_signer_is_a_number(chain: Chain) -> None:
    assert History(chain).author(b"\xab" * 16) == "abababab"
