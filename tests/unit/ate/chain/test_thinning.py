from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import ate
from ate.chain.index import SEQ_MASK
from ate.chain.retention import Retention
from ate.chain.thinning import Cut, Kept, newest_rows
from ate.errors import CorruptLog, UsageError
from ate.event.row import Kind
from ate.session import Session
from ate.testing.stage import Note, Stage


def all_steps(steps: Iterator[Any]) -> None:
    for _ in steps:
        pass


def cut_of(chain: ate.Chain, *dropped: int) -> Cut:
    cut = Cut(chain._ledger.view, set(dropped))
    all_steps(cut.present())
    return cut


def kept_of(cut: Cut, *extra: int, now_us: int = 0) -> Kept:
    kept = Kept(cut, set(extra))
    all_steps(kept.complete(now_us))
    return kept


async def test_an_unsigned_chain_is_cut_at_its_head() -> None:
    async with ate.open("m", memory=True) as chain:
        dio = chain.dio()
        one, two = dio.store({"n": 1}), dio.store({"n": 2})
        await dio.commit()
        old = one.seq
        one.value = {"n": 3}
        await dio.commit()
        cut = cut_of(chain)
        assert (cut.index, cut.seq, cut.state) == (chain.commits, chain.head + 1, b"")
        assert cut.link == chain._ledger.view.link
        cut.check()
        kept = kept_of(cut)
        assert kept.seqs.tolist() == [1, two.seq, one.seq]
        assert kept_of(cut, old, 1 << 30).seqs.tolist() == [1, old, two.seq, one.seq]
        assert [rows for _, rows in kept.commits()] == [[1], [two.seq], [one.seq]]
        assert {seq & SEQ_MASK for seq in newest_rows(cut)} == {two.seq, one.seq}
        less = cut_of(chain, two.seq)
        assert len(newest_rows(less)) == 1
        assert two.seq in less.newest


async def test_nothing_older_stays_of_what_is_dropped() -> None:
    async with ate.open("m", memory=True) as chain:
        dio = chain.dio()
        one = dio.store({"n": 1})
        await dio.commit()
        old = one.seq
        dio.delete(one.id)
        await dio.commit()
        tombstone = chain.head
        cut = cut_of(chain)
        assert kept_of(cut, old).seqs.tolist() == [1, old, tombstone]
        cut.drop({tombstone})
        assert kept_of(cut, old).seqs.tolist() == [1]


async def test_with_roots_the_newest_checkpoint_is_the_cut() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        with pytest.raises(UsageError, match="vouches"):
            Cut(chain._ledger.view, set())
        dio = chain.dio()
        one, gone = dio.store(Note("one")), dio.store(Note("gone"))
        await dio.commit()
        before = one.seq
        head = chain.head
        await chain.checkpoint()
        # From here on everything is rewound.
        one.value = Note("two")
        dio.store(Note("later"))
        await dio.commit()
        dio.delete(gone.id)
        await dio.commit()
        for _ in range(2):
            one.value = Note("three")
            await dio.commit()
        cut = cut_of(chain)
        assert cut.seq == head + 1
        cut.check()
        seqs = [seq & SEQ_MASK for seq in newest_rows(cut)]
        assert before in seqs
        assert len(seqs) == 2
        assert all(seq <= head for seq in cut.newest.tolist())
    async with stage.open(alice) as chain:  # another origin, and another checkpoint
        dio = chain.dio()
        dio.store(Note("more"))
        await dio.commit()
        await chain.checkpoint()
        await chain.compact()
    async with stage.open(bob) as chain:
        cut = cut_of(chain)
        cut.check()
        assert len(cut.origins) >= 2
        cut.entries = tuple(one[1:] for one in cut.entries)  # type: ignore[assignment]
        with pytest.raises(CorruptLog, match="does not vouch"):
            cut.check()


async def test_origins_that_went_with_their_commits_are_in_the_prefix() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        dio = chain.dio()
        one = dio.store(Note("one"))
        await dio.commit()
        one.value = Note("two")
        await dio.commit()
        dio.delete(one.id)
        await dio.commit()
        stage.clock.advance(60)
        await chain.compact(Retention(tombstones=timedelta(seconds=1)))
        for _ in range(2):  # both goes on from the same checkpoint, behind a prefix
            dio = chain.dio()
            dio.store(Note("again"))
            await dio.commit()
            cut = cut_of(chain)
            cut.check()
    async with stage.open(None) as chain:
        await chain.compact()
    assert (await stage.verify()).ok


async def test_checkpoints_of_before_vouch_for_no_present(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        monkeypatch.setattr("ate.chain.checkpoint.state_of", lambda view, dropped: b"")
        await chain.checkpoint()
        with pytest.raises(UsageError, match="vouches"):
            Cut(chain._ledger.view, set())


async def test_certificates_go_when_they_expired_and_nobody_who_stays_needs_them() -> None:
    stage = Stage()
    alice, _ = await stage.cast("alice", "bob")
    first = await stage.as_(alice).store("stays")
    second = await stage.as_(Session(alice.identity, alice.own)).store("goes")
    fresh = Session(alice.identity, alice.own)
    await stage.as_(fresh).change(second, "anew")
    async with stage.open(fresh) as chain:
        await chain.checkpoint()
        view = chain._ledger.view
        cut = cut_of(chain)

        def certificates(now_us: int) -> int:
            kinds = []
            for seq in kept_of(cut, now_us=now_us).seqs.tolist():
                record, at = view.find(seq)
                kinds.append(record.kinds[at])
            return kinds.count(Kind.CERTIFICATE)

        assert certificates(0) == 3
        assert certificates(1 << 62) == 2
    assert await stage.as_(alice).load(first) == "stays"
