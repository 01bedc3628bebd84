"""The versions of an object: who, when, where, and what, as far as keys open it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

import ate
from ate.chain.view import View
from ate.client import Chain
from ate.dio.history import Version
from ate.errors import Compacted, NoReadKey, NotFound, UsageError, WrongType
from ate.event.commit import Record
from ate.ids import ROOT, ObjectId
from ate.testing.simclock import SimClock
from ate.testing.stage import member

KEY = ObjectId(bytes(15) + b"\x07")


@dataclass(frozen=True)
class Note:
    text: str


class Holed(View):
    """A view of a chain whose row 2 was dropped."""

    def find(self, seq: int) -> tuple[Record, int]:
        if seq == 2:
            raise Compacted("row 2 was dropped")
        return super().find(seq)


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    async with ate.open("h", memory=True, clock=SimClock(tick_us=1_000_000)) as made:
        yield made


async def write(chain: Chain, *values: Any, who: ate.Session | None = None) -> None:
    """Give the object one value after the other; None deletes it."""
    for value in values:
        dio = chain.dio(who)
        if value is None:
            dio.delete(KEY)
        elif await dio.exists(KEY):
            (await dio.load(object, KEY)).value = value
        else:
            dio.store(value, id=KEY)
        await dio.commit()


async def versions(chain: Chain, **options: Any) -> list[Version[Any]]:
    return [one async for one in chain.dio().history(KEY, **options)]


async def test_versions_come_newest_first_or_oldest_first(chain: Chain) -> None:
    await write(chain, "a", "b", "c")
    found = await versions(chain)
    assert [(one.seq, one.base, one.value) for one in found] == [
        (4, 3, "c"), (3, 2, "b"), (2, 0, "a"),
    ]  # fmt: skip
    assert [one.is_new for one in found] == [False, False, True]
    assert [one.value for one in await versions(chain, oldest_first=True)] == ["a", "b", "c"]
    assert [one.value for one in await versions(chain, limit=2)] == ["c", "b"]
    assert [one.value for one in await versions(chain, limit=1, oldest_first=True)] == ["a"]
    assert await versions(chain, limit=0) == []
    with pytest.raises(UsageError):
        await versions(chain, limit=-1)


async def test_each_version_knows_its_time_and_place(chain: Chain) -> None:
    await write(chain, "a")
    dio = chain.dio()
    above = dio.store("above")
    (await dio.load(str, KEY)).move(above)
    await dio.commit()
    moved, first = await versions(chain)
    assert (first.parent, moved.parent) == (ROOT, above.id)
    assert (first.collection, first.header, first.type_name) == (0, None, "str")
    assert first.time.tzinfo is UTC
    assert first.time < moved.time
    assert chain.seq_at_time(first.time) == first.seq
    assert chain.seq_at_time(datetime(1960, 1, 1, tzinfo=UTC)) == 0
    assert (first.author, first.key_id) == (None, None)
    assert first.stored_bytes > 0
    assert repr(first) == f"Version({KEY.hex()[:8]}, seq 2, value)"


async def test_deletions_and_second_lives_are_versions(chain: Chain) -> None:
    await write(chain, "a", None, Note("b"), "c" * 100_000)
    found = await versions(chain)
    assert [(one.is_delete, one.is_new) for one in found] == [
        (False, False), (False, True), (True, False), (False, True),
    ]  # fmt: skip
    assert found[2].value is None
    assert found[2].type_name is None
    assert found[1].type_name == "Note"
    assert found[1].value == {"text": "b"}
    typed = await versions(chain, type=Note)
    assert typed[1].value == Note("b")
    assert typed[1].value is typed[1].value
    with pytest.raises(WrongType):
        _ = typed[3].value
    assert typed[0].error is None
    assert "deletion" in repr(found[2])


async def test_authors_are_named_and_what_is_sealed_says_so() -> None:
    alice, bob = member("alice"), member("bob")
    access = ate.Access(read=ate.Only(alice.public), write=ate.Any(alice.public, bob.public))
    async with ate.open("h", memory=True, session=alice, access=access) as chain:
        await write(chain, "for alice")
        await chain.set_access(ate.Access(read=ate.Everyone, write=access.write))
        await write(chain, "for all", who=None)
        await write(chain, None, who=bob)
        found = [one async for one in chain.dio(bob).history(KEY)]
    assert [one.author for one in found] == ["bob", "alice", "alice"]
    assert found[0].key_id == bob.public.key_id
    assert [one.error is None for one in found] == [True, True, False]
    assert found[1].value == "for all"
    assert isinstance(found[2].error, NoReadKey)
    assert found[2].type_name is None
    assert "sealed" in repr(found[2])
    with pytest.raises(NoReadKey):
        _ = found[2].value


async def test_where_older_versions_were_dropped_the_oldest_says_so(chain: Chain) -> None:
    await write(chain, "a", "b", "c")
    chain._ledger.view.__class__ = Holed
    found = await versions(chain)
    assert [(one.value, one.older_dropped) for one in found] == [("c", False), ("b", True)]
    assert [one.value for one in await versions(chain, oldest_first=True)] == ["b", "c"]


async def test_what_is_no_object_has_no_history(chain: Chain) -> None:
    with pytest.raises(NotFound):
        await versions(chain)
    with pytest.raises(WrongType):
        _ = [one async for one in chain.dio().history(ROOT)]
    await write(chain, "a")
    with pytest.raises(UsageError):
        await versions(chain, type=Exception)


def test_without_await_too() -> None:
    with ate.blocking.open("h", memory=True) as chain:
        dio = chain.dio()
        dio.store("a", id=KEY)
        dio.commit()
        assert [one.value for one in dio.history(KEY)] == ["a"]
