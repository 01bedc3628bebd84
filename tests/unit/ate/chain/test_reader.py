from __future__ import annotations

import pytest

import ate
from ate.chain.reader import Reader
from ate.client import Chain
from ate.errors import CannotOpen, CorruptLog, Deleted, NoReadKey, NotFound
from ate.event.access import Access, Everyone, Only
from ate.event.commit import Record
from ate.event.row import Row
from ate.ids import ObjectId
from ate.log.local import LocalLog
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member


def reader_of(chain: Chain, session: Session | None = None) -> Reader:
    return Reader(chain._ledger, session or chain.session)


class Reverser:
    """A filter that turns bodies around, under a codec bit of its own."""

    name = "reverser"

    def encode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        return codec | 16, body[::-1]

    def decode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        return codec & 15, body[::-1]


async def test_an_object_is_found_deleted_or_unknown() -> None:
    async with ate.open("r", memory=True) as chain:
        async with chain.dio() as dio:
            here, gone = dio.store(1), dio.store(2)
        gone.delete()
        await dio.commit()
        reader = reader_of(chain)
        assert reader.seq_of(here.id) == 2
        with pytest.raises(Deleted):
            reader.seq_of(gone.id)
        with pytest.raises(NotFound):
            reader.seq_of(ObjectId.random())


@pytest.mark.parametrize("who", [None, "alice"])
async def test_an_opened_row_tells_all_about_itself(who: str | None) -> None:
    session = member(who) if who else None
    async with ate.open("r", memory=True, session=session, clock=SimClock()) as chain:
        async with chain.dio() as dio:
            plain = dio.store("text")
            ruled = dio.store("rule", access=Access(write=Everyone))
        plain.value = "again"
        await dio.commit()
        reader = reader_of(chain)
        opened = await reader.open(plain.seq)
        assert opened.plain.endswith(b"again")
        assert (opened.codec, opened.seq, opened.row.id) == (1, plain.seq, plain.id)
        assert opened.created == ruled.seq - 1
        assert opened.header is None
        assert opened.time_us == SimClock().now_us()
        if session is None:
            assert opened.author == bytes(16)
        else:
            assert session.public.key_id in chain._ledger.view.trust.authorities(
                opened.author, opened.time_us
            )
        first = await reader.open(ruled.seq)
        assert first.header is not None
        assert first.header.access == Access(write=Everyone)
        assert first.created == first.seq
        assert (await reader.open(ruled.seq - 1)).plain.endswith(b"text"), "old versions stay"


@pytest.mark.parametrize("who", [None, "alice"])
async def test_many_rows_come_in_the_order_asked(who: str | None) -> None:
    async with ate.open("r", memory=True, session=member(who) if who else None) as chain:
        seqs = []
        for _ in range(3):
            dio = chain.dio()
            daos = [dio.store(number) for number in range(10)]
            await dio.commit()
            seqs += [dao.seq for dao in daos]
        reader = reader_of(chain)
        jumbled = [seqs[5], seqs[25], seqs[6], seqs[6]]
        # Ends where a run of that length would end, and is none.
        crossed = [seqs[1], seqs[4], seqs[3]]
        for wanted in (seqs, seqs[::-1], seqs[::3], jumbled, crossed, []):
            opened = await reader.open_many(wanted)
            assert [one.seq for one in opened] == wanted
            assert [one.plain for one in opened] == [(await reader.open(s)).plain for s in wanted]


async def test_what_a_session_cannot_read_is_skipped_among_many_and_refused_alone() -> None:
    alice, bob = member("alice"), member("bob")
    open_to_all = Access(read=Everyone)
    async with ate.open("r", memory=True, session=alice, access=open_to_all) as chain:
        async with chain.dio() as dio:
            mine = dio.store("mine", access=Access(read=Only(alice.public)))
            ours = dio.store("ours", access=Access(read=Only(alice.public, bob.public)))
            all_ = dio.store("everybody's")
            below = dio.store("inherits", parent=mine)
        everything = [mine.seq, ours.seq, all_.seq, below.seq]
        theirs, outside = reader_of(chain, bob), Reader(chain._ledger, None)
        assert len(await reader_of(chain).open_many(everything)) == 4
        assert [one.seq for one in await theirs.open_many(everything)] == [ours.seq, all_.seq]
        assert [one.seq for one in await outside.open_many(everything)] == [all_.seq]
        with pytest.raises(NoReadKey) as caught:
            await theirs.open(below.seq)
        assert caught.value.domain == mine.id
        with pytest.raises(NoReadKey):
            await outside.open(ours.seq)


async def test_commit_keys_are_kept_in_bounds() -> None:
    async with ate.open("r", memory=True, session=member("alice"), durability=ate.NONE) as chain:
        for number in range(4150):
            async with chain.dio() as dio:
                dio.store(number)
        reader = reader_of(chain)
        values = [dao.value async for dao in chain.dio().all(int)]
        assert values == list(range(4150))
        for seq in range(chain.head - 4149, chain.head + 1):
            await reader.open(seq)
        assert 0 < len(reader._sealers) <= 4096


async def test_filters_are_undone_or_named_when_they_are_missing() -> None:
    disk = SimDisk()
    async with ate.open("r", path="/c", disk=disk, plugins=[Reverser()]) as chain:
        async with chain.dio() as dio:
            dao = dio.store("abcdef")
        assert (await chain.dio().load(str, dao.id)).value == "abcdef"
        assert [one.value async for one in chain.dio().all(str)] == ["abcdef"]
        stored = bytes(chain._ledger.view.body(*_row(chain, dao.seq)))
        assert stored.startswith(b"fedcba")
    async with ate.open("r", path="/c", disk=disk) as chain:
        reader = reader_of(chain)
        for opening in (reader.open(dao.seq), reader.open_many([dao.seq])):
            with pytest.raises(CannotOpen, match="filter that is not loaded") as caught:
                await opening
            assert "plugins=" in caught.value.hint


def _row(chain: Chain, seq: int) -> tuple[Record, Row]:
    record, at = chain._ledger.view.find(seq)
    return record, record.row(at)


async def test_an_altered_body_is_never_handed_out() -> None:
    disk = SimDisk()
    async with ate.open("r", path="/c", disk=disk) as chain, chain.dio() as dio:
        dao = dio.store(b"large" * 20_000)
    path = "/c/r/000001/body.000001"
    content = disk.snapshot()[path]
    disk.put(path, content.replace(b"largelarge", b"largeLarge", 1))
    async with ate.open("r", path="/c", disk=disk, readonly=True) as chain:
        assert isinstance(chain._ledger.store, LocalLog)
        reader = reader_of(chain)
        for opening in (reader.open(dao.seq), reader.open_many([dao.seq])):
            with pytest.raises(CorruptLog, match="body of object"):
                await opening
