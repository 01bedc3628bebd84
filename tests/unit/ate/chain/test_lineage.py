"""Deltas on real chains: which row stands on which, who may read them, what may not be mixed."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import ate
from ate.chain import lineage as lineages
from ate.chain.lineage import base_held, choose_base, lineage
from ate.chain.reader import Reader
from ate.client import Chain
from ate.errors import Compacted, CorruptLog, LimitExceeded, NoReadKey, ProtocolError
from ate.event.access import Access, Everyone, Only
from ate.event.access import Any as Named
from ate.event.header import Header
from ate.event.row import CODEC_DELTA, CODEC_ZSTD
from ate.ids import ObjectId
from ate.log.memory import MemoryLog
from ate.testing.forger import Line
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Note, Stage, member
from ate.trust import delta
from ate.trust.compression import Zstd
from ate.trust.delta import Deltas

DRAW = random.Random(11)
TEXT = DRAW.randbytes(10_000).hex()


def reader_of(chain: Chain) -> Reader:
    return chain._reader(chain.session)


def stands_on(chain: Chain, seq: int) -> list[int]:
    return lineage(chain._ledger.view, seq)


def codec_of(chain: Chain, seq: int) -> int:
    record, at = chain._ledger.view.find(seq)
    return record.row(at).codec


def grown(text: str, number: int) -> str:
    at = number * 37 % len(text)
    return f"{text[:at]}<{number}>{text[at:]}"


async def history(chain: Chain, versions: int, **options: Any) -> tuple[ObjectId, list[str]]:
    """Store a note and change it again and again; return its texts, oldest first."""
    dao = chain.dio().store(Note(TEXT), **options)
    await dao._dio.commit()
    texts = [TEXT]
    for number in range(1, versions):
        texts.append(grown(texts[-1], number))
        dao.value = Note(texts[-1])
        await dao._dio.commit()
    return dao.id, texts


async def test_each_version_stands_on_a_logarithm_of_all() -> None:
    async with ate.open("d", memory=True) as chain:
        id, texts = await history(chain, 40)
        first = chain.head - 39
        for number, text in enumerate(texts):
            found = stands_on(chain, first + number)
            assert len(found) <= (number + 1).bit_length()
            assert found[-1] == first
            if number:
                assert found[1] == first + (number & (number - 1))
            dao = await chain.dio().load(Note, id, at_seq=first + number)
            assert dao.value.text == text
        assert len(stands_on(chain, first + 31)) == 6


async def test_small_bodies_and_new_contents_are_kept_whole() -> None:
    async with ate.open("d", memory=True) as chain:
        dao = chain.dio().store(Note("x" * 16_000))
        for text in ("x" * 16_000 + "y", TEXT, DRAW.randbytes(10_000).hex()):
            await dao._dio.commit()
            dao.value = Note(text)
        await dao._dio.commit()
        assert [codec_of(chain, seq) for seq in range(2, 6)] == [1, 1, 1, 1]
        dao.value = Note(dao.value.text + "!")
        await dao._dio.commit()
        assert stands_on(chain, 6) == [6, 5], "a run begins behind the newest whole body"


async def test_a_chain_can_go_without() -> None:
    async with ate.open("d", memory=True, plugins=[Deltas(None)]) as chain:
        await history(chain, 3)
        assert [codec_of(chain, seq) for seq in range(2, 5)] == [1, 1, 1]
    async with ate.open("d", memory=True, plugins=[Deltas(20_013)]) as chain:
        await history(chain, 3)
        assert stands_on(chain, 4)[-1] == 2


async def test_whoever_writes_a_header_field_the_delta_is_of_this_row_alone() -> None:
    """An own rule is repeated from version to version; what a body stands on is not."""
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(read=Only(alice.public, bob.public), write=Named(alice.public, bob.public))
    async with stage.open(alice) as chain:
        id, texts = await history(chain, 4, access=rule)
        dao = await chain.dio().load(Note, id)
        assert dao.access == rule
        assert dao.header == Header(rule)
        record, at = chain._ledger.view.find(dao.seq)
        header = record.header(at)
        assert header == Header(rule, delta=dao.seq - 1)
        dao.value = Note(DRAW.randbytes(9000).hex())
        await dao._dio.commit()
        record, at = chain._ledger.view.find(dao.seq)
        assert record.header(at) == Header(rule)
    assert await stage.as_(bob).load(id, at_seq=dao.seq - 1) == texts[-1]


@pytest.mark.parametrize("how", ["merge", "last"])
async def test_conflicts_are_settled_before_a_base_is_chosen(how: str) -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        key = dio.store({"text": TEXT, "n": 0}).id
        await dio.commit()
        ours, theirs = [await chain.dio().load(dict, key) for _ in range(2)]
        for number in range(1, 4):
            theirs.update(text=grown(theirs.value["text"], number))
            await theirs._dio.commit()
        ours.update(n=1)
        await ours._dio.commit(on_conflict=how)
        assert stands_on(chain, ours.seq) == [ours.seq, ours.seq - 4]
        found = (await chain.dio().load(dict, key)).value
        text = theirs.value["text"] if how == "merge" else TEXT
        assert found == {"text": text, "n": 1}
        assert ours.value == found
        ours.update(n=2)
        await ours._dio.commit()
        assert (await chain.dio().load(dict, key)).value == {"text": text, "n": 2}


async def test_a_rule_that_did_not_change_is_no_conflict_because_of_a_delta() -> None:
    async with ate.open("d", memory=True) as chain:
        dao = chain.dio().store({"text": TEXT, "n": 0}, access=Access(read=Everyone))
        await dao._dio.commit()
        dao.update(n=1)
        await dao._dio.commit()
        ours, theirs = [await chain.dio().load(dict, dao.id) for _ in range(2)]
        for one, change in ((theirs, {"text": TEXT + "!"}), (ours, {"n": 2})):
            one.update(**change)
            await one._dio.commit(on_conflict="merge")
        assert (await chain.dio().load(dict, dao.id)).value == {"text": TEXT + "!", "n": 2}


async def test_grouped_commits_share_a_commit_and_no_base() -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        keys = [dio.store(Note(f"{number}{TEXT}")).id for number in range(5)]
        await dio.commit()

        async def edit(key: ObjectId) -> bytes:
            dio = chain.dio()
            dao = await dio.load(Note, key)
            dao.value = Note(dao.value.text + "!")
            return (await dio.commit()).commit_root

        assert len(set(await asyncio.gather(*map(edit, keys)))) < 5
        for number, key in enumerate(keys):
            dao = await chain.dio().load(Note, key)
            assert dao.value.text == f"{number}{TEXT}!"
            assert stands_on(chain, dao.seq) == [dao.seq, 2 + number]


async def test_an_object_that_comes_again_begins_anew() -> None:
    async with ate.open("d", memory=True) as chain:
        id, _ = await history(chain, 3)
        dio = chain.dio()
        dio.delete(id)
        await dio.commit()
        dao = chain.dio().store(Note(TEXT + "again"), id=id)
        await dao._dio.commit()
        assert stands_on(chain, dao.seq) == [dao.seq]
        dao.value = Note(TEXT + "once more")
        await dao._dio.commit()
        assert stands_on(chain, dao.seq) == [dao.seq, dao.seq - 1]
        assert (await chain.dio().load(Note, id)).value.text == TEXT + "once more"


async def test_what_is_not_changed_is_moved_for_next_to_nothing() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        async with chain.dio() as dio:
            folder = dio.store(Note("plain folder")).id
            secret = dio.store(Note("shared"), access=Access(Only(alice.public, bob.public))).id
        id, texts = await history(chain, 2)
        dao = await chain.dio().load(Note, id)
        dao.move(folder)
        await dao._dio.commit()
        assert len(stands_on(chain, dao.seq)) == 2
        dao.move(secret)
        await dao._dio.commit()
        assert stands_on(chain, dao.seq) == [dao.seq], "another read domain"
    assert await stage.as_(bob).load(id) == texts[-1]
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(id, at_seq=dao.seq - 1)


async def test_readers_come_and_go_and_each_reads_what_it_may() -> None:
    stage = Stage()
    alice, bob, carol = await stage.cast("alice", "bob", "carol")
    write = Named(alice.public)
    async with stage.open(alice) as chain:
        id, texts = await history(chain, 4, access=Access(Only(alice.public, bob.public), write))
        first = chain.head - 3

        async def next_version(*readers: Any) -> int:
            dao = await chain.dio().load(Note, id)
            if readers:
                dao.access = Access(Only(*(one.public for one in readers)), write)
            texts.append(grown(dao.value.text, len(texts)))
            dao.value = Note(texts[-1])
            await dao._dio.commit()
            return dao.seq

        joined = await next_version(alice, bob, carol)
        assert len(stands_on(chain, joined)) > 1, "who joins gets the key of the epoch"
        left = await next_version(alice, carol)
        assert stands_on(chain, left) == [left], "who is removed begins an epoch"
        after = await next_version()
        assert stands_on(chain, after) == [after, left]
        seqs = [*range(first, first + 4), joined, left, after]
    for who in (alice, carol):
        for seq, text in zip(seqs, texts, strict=True):
            assert await stage.as_(who).load(id, at_seq=seq) == text
    for seq in seqs:
        with pytest.raises(NoReadKey):
            await stage.as_(bob).load(id, at_seq=seq)
    assert (await stage.verify()).ok


async def test_who_writes_and_does_not_read_stores_whole_bodies() -> None:
    async with ate.open("d", memory=True, session=member("alice")) as chain:
        await history(chain, 2)
        outside = Reader(chain._ledger, None)
        assert await choose_base(outside, chain.head) is None
        assert await choose_base(reader_of(chain), chain.head) is not None


async def test_filters_and_deltas_compose() -> None:
    disk = SimDisk()
    async with ate.open("d", path="/c", disk=disk, plugins=[Zstd()]) as chain:
        id, texts = await history(chain, 2)
        dao = await chain.dio().load(Note, id)
        more = "".join(f"line {number}\n" for number in range(400))
        texts.append(texts[-1] + more)
        dao.value = Note(texts[-1])
        await dao._dio.commit()
        assert codec_of(chain, dao.seq) == 1 | CODEC_ZSTD | CODEC_DELTA
        assert codec_of(chain, dao.seq - 1) == 1 | CODEC_DELTA
    async with ate.open("d", path="/c", disk=disk, plugins=[Zstd()]) as chain:
        assert (await chain.dio().load(Note, id)).value.text == texts[-1]
        assert [one.value.text async for one in chain.dio().all(Note)] == texts[-1:]


async def test_what_reads_along_sees_whole_values() -> None:
    class Last:
        name = "last"
        seen: list[bytes | None]

        def apply(self, change: Any) -> None:
            self.seen.append(change.plain)

    disk, follower = SimDisk(), Last()
    follower.seen = []
    async with ate.open("d", path="/c", disk=disk) as chain:
        _, texts = await history(chain, 9)
    async with ate.open("d", path="/c", disk=disk, plugins=[follower]) as chain:
        await chain.seen(follower)
        watch = chain.watch(type=Note, since=0)
        for text, plain in zip(texts, follower.seen, strict=True):
            event = await anext(watch)
            assert event.value.text == text
            assert plain is not None
            assert text.encode() in plain
        reader = reader_of(chain)
        many = await reader.open_many(range(2, 11))
        assert [one.plain for one in many] == follower.seen
        assert {one.codec for one in many} == {1}


async def test_write_once_chains_have_none() -> None:
    async with ate.open("d", memory=True, policy={"worm": True}) as chain:
        async with chain.dio() as dio:
            dao = dio.store(Note(TEXT))
        dao.value = Note(TEXT + "!")
        with pytest.raises(ate.Refused):
            await dao._dio.commit()


# --- what is refused -----------------------------------------------------------------------------


async def forged(base: int | None, plain: bytes, **fields: Any) -> tuple[Stage, ObjectId]:
    """Return a stage where somebody has put a delta behind a board that all may read and write."""
    stage = Stage(suite=2)
    alice, mallory = await stage.cast("alice", "mallory")
    board = await stage.as_(alice).store("board " + TEXT, access=Access(Everyone, Everyone))
    secret = await stage.as_(alice).store("secret " + TEXT)
    await stage.as_(mallory).change(board, "known " + TEXT)
    view = (await stage.ledger()).view
    at = {"secret": view.seq_at(secret, view.head), "board": view.seq_at(board, view.head)}
    record, index = view.find(at["board"])
    row = record.row(index)
    forger = await stage.forger(mallory)
    header = record.header(index)
    assert header is not None
    named = {-1: at["secret"], -2: at["board"]}.get(base or 0, base)
    packed = fields.get("body") or delta.encode(plain, plain + b"!", 1) or b""
    line = Line(
        board, body=packed, base=at["board"],
        created=row.created, schema=row.schema, codec=1 | CODEC_DELTA, domain=row.domain,
        header=Header(header.access, delta=named),
    )  # fmt: skip
    stage.tamperer().append(forger.commit(line))
    return stage, board


async def test_nobody_makes_a_reader_mix_a_secret_into_what_all_may_read() -> None:
    """Alice can open both rows. If she were given the sum, her next edit would publish it."""
    stage, board = await forged(-1, NOTE)
    for who in (member("alice"), member("mallory")):
        with pytest.raises(ProtocolError, match="no version of it"):
            await stage.as_(who).load(board)
    async with stage.open(member("alice")) as chain:
        assert await choose_base(reader_of(chain), chain.head) is None


NOTE = b"\xa4Note" + TEXT.encode()


@pytest.mark.parametrize("base", [None, 10_000, 1])
async def test_a_delta_of_nothing(base: int | None) -> None:
    stage, board = await forged(base, NOTE)
    with pytest.raises(ProtocolError, match="names no earlier version"):
        await stage.as_(member("alice")).load(board)


async def test_a_delta_of_the_right_row_that_was_made_from_another_text() -> None:
    stage, board = await forged(-2, NOTE)
    with pytest.raises(ProtocolError, match=r"not made from|does not have"):
        await stage.as_(member("alice")).load(board)
    # The next version can be written all the same, by whoever knows what it shall be.
    async with stage.open(member("alice")) as chain:
        dio = chain.dio()
        dio.store(Note("whole " + TEXT), id=board, access=Access(Everyone, Everyone))
        await dio.commit(on_conflict="last")
        assert stands_on(chain, chain.head)[0] == chain.head
    assert await stage.as_(member("alice")).load(board) == "whole " + TEXT


@pytest.mark.parametrize("body", [b"\x80", b"\1\0" + bytes(16) + bytes(90_000)])
async def test_a_broken_delta_stops_neither_writers_nor_those_who_follow(body: bytes) -> None:
    stage, board = await forged(-2, NOTE, body=body)
    async with stage.open(member("alice")) as chain:
        head = chain.head
        with pytest.raises((ProtocolError, LimitExceeded)):
            await chain.dio().load(Note, board)
        against = await choose_base(reader_of(chain), head)
        assert against is None or against.seq < head
        watch = chain.watch(since=0)
        async with chain.dio() as dio:
            dio.store(Note("goes on"))
        seen = [await anext(watch) for _ in range(5)]
        assert [event.seq for event in seen[3:]] == [head, chain.head]
        assert seen[2].value == {"text": "known " + TEXT}
        assert seen[3].value is None
        assert seen[4].value == {"text": "goes on"}


async def test_a_run_goes_on_when_the_chain_is_opened_again() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store(TEXT)
    texts = [TEXT]
    for number in range(1, 12):
        texts.append(grown(texts[-1], number))
        await stage.as_(alice).change(note, texts[-1])
    async with stage.open(alice) as chain:
        view = chain._ledger.view
        first = chain.head - 11
        for number in range(1, 12):
            seq = first + number
            assert stands_on(chain, seq)[1] == first + (number & (number - 1))

            record, at = view.find(seq)
            assert base_held(view, seq, record, at) == stands_on(chain, seq)[1]
    assert await stage.as_(alice).load(note) == texts[-1]


async def test_a_commit_holds_a_bounded_number_of_old_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ate.open("d", memory=True) as chain:
        dio = chain.dio()
        daos = [dio.store(Note(f"{number}{TEXT}")) for number in range(4)]
        await dio.commit()
        for dao in daos:
            dao.value = Note(dao.value.text + "!")
        monkeypatch.setattr(lineages.limits, "COMMIT_BYTES_MAX", 45_000)
        await dio.commit()
        assert [len(stands_on(chain, dao.seq)) for dao in daos] == [2, 2, 2, 1]


# --- compaction ----------------------------------------------------------------------------------


async def grow(chain: Chain, id: ObjectId, texts: list[str], count: int) -> None:
    dao = await chain.dio().load(Note, id)
    for _ in range(count):
        texts.append(grown(texts[-1], len(texts)))
        dao.value = Note(texts[-1])
        await dao._dio.commit()


@pytest.mark.parametrize("who", [None, "alice"])
@pytest.mark.parametrize("behind", [0, 1, 2, 5])
async def test_compaction_keeps_what_the_present_stands_on(who: str | None, behind: int) -> None:
    """Also when the newest versions are behind the cut and stand on some before it."""
    disk, session = SimDisk(), member(who) if who else None
    async with ate.open("d", path="/c", disk=disk, session=session) as chain:
        id, texts = await history(chain, 14)
        first = chain.head - 13
        if session:
            await chain.checkpoint()
        await grow(chain, id, texts, behind)
        before = stands_on(chain, (await chain.dio().load(Note, id)).seq)
        await chain.compact()
        assert stands_on(chain, before[0]) == before
        kept = 0
        for number in range(14):
            try:
                opened = await reader_of(chain).open(first + number)
                assert texts[number].encode() in opened.plain
                kept += 1
            except Compacted:
                with pytest.raises(Compacted):
                    await chain.dio().load(Note, id, at_seq=first + number)
        assert 1 <= kept < 6
        await grow(chain, id, texts, 5)
        await chain.compact()
        assert (await chain.dio().load(Note, id)).value.text == texts[-1]
    async with ate.open("d", path="/c", disk=disk, session=session) as chain:
        assert (await chain.dio().load(Note, id)).value.text == texts[-1]
        await grow(chain, id, texts, 9)
        assert len(stands_on(chain, chain.head)) <= len(texts).bit_length()
        assert (await chain.dio().load(Note, id)).value.text == texts[-1]


@pytest.mark.parametrize("base", [None, 10_000, -1, -2, 1])
async def test_a_forged_base_does_not_trouble_compaction(base: int | None) -> None:
    stage, board = await forged(base, NOTE)
    async with stage.open(member("alice")) as chain:
        async with chain.dio() as dio:
            note = dio.store(Note("stays")).id
        await chain.checkpoint()
        await chain.compact()
        view = chain._ledger.view
        held = {seq for seq, _, _ in view.rows(1, view.head)}
        newest = view.seq_at(board, view.head)
        assert newest in held
        assert all((seq in held) == (base == -2) for seq in [view.find(newest)[0].row(0).base])
    assert await stage.as_(member("alice")).load(note) == "stays"


async def test_too_many_bodies_are_refused_and_never_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ate.open("d", memory=True) as chain:
        await history(chain, 8)
        monkeypatch.setattr(lineages.limits, "DELTA_DEPTH_MAX", 3)
        with pytest.raises(ProtocolError, match="too many"):
            stands_on(chain, chain.head)
        assert await choose_base(reader_of(chain), chain.head) is None
        assert len(stands_on(chain, chain.head - 1)) == 3
        against = await choose_base(reader_of(chain), chain.head - 1)
        assert against is None


async def test_a_base_that_was_altered_or_dropped_is_noticed() -> None:
    async with ate.open("d", memory=True) as chain:
        id, _ = await history(chain, 2)
        view = chain._ledger.view
        assert isinstance(view.store, MemoryLog)
        record, at = view.find(chain.head - 1)
        body = view.body(record, record.row(at))
        changed = bytearray(record.payload)
        changed[changed.index(bytes(body[:64])) + 30] ^= 1
        record.payload = memoryview(bytes(changed))
        with pytest.raises(CorruptLog):
            await chain.dio().load(Note, id)
        assert await choose_base(reader_of(chain), chain.head) is None

        def dropped(seq: int) -> Any:
            raise Compacted(f"row {seq}")

        view.find = dropped  # type: ignore[method-assign]
        assert await choose_base(reader_of(chain), chain.head) is None
