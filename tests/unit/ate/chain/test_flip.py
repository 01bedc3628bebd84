"""`ate.chain.flip`: a checkpoint says where all compact, and later ones repeat it."""

from __future__ import annotations

from datetime import timedelta

import pytest

import ate
from ate.chain.checkpoint import checkpoint_row
from ate.chain.flip import Flips, check_flip, due, flip_at
from ate.chain.retention import Retention
from ate.errors import CorruptLog, UsageError
from ate.event.system import Checkpoint, Flip, decode
from ate.testing.stage import member

ALICE = member("alice")


async def change(chain: ate.Chain, times: int = 3) -> None:
    dio = chain.dio()
    one = dio.store(0)
    for number in range(times):
        one.value = number
        await dio.commit()


async def opened(**options: object) -> ate.Chain:
    chain = await ate.open("c", memory=True, session=ALICE, **options)  # type: ignore[arg-type]
    await change(chain)
    return chain


async def mark(chain: ate.Chain, keep: Retention | None) -> Checkpoint:
    """Write a checkpoint, and compact nothing."""
    row = checkpoint_row(chain._ledger, ALICE, keep=keep)
    await chain._writer.submit([row], ALICE, ate.FULL, chain.head)
    sealed = chain._ledger.view.trust.checkpoint
    assert sealed is not None
    return sealed


def test_its_bytes() -> None:
    flip = Flip(7, 3, 1 << 40)
    assert len(flip.encode()) == 24
    assert Flip.decode(flip.encode()) == flip


async def test_nothing_is_due_without_a_flip() -> None:
    async with await opened() as chain:
        assert due(chain._ledger.view) is None
        sealed = await mark(chain, None)
        assert (sealed.flip, len(sealed.present)) == (None, 32)
        assert due(chain._ledger.view) is None


async def test_a_flip_is_due_until_it_is_made_also_behind_later_checkpoints() -> None:
    async with await opened() as chain:
        view = chain._ledger.view
        sealed = await mark(chain, Retention(versions=2, window=timedelta(hours=1)))
        head, time_us = view.head, view.time_us
        assert sealed.flip == Flip(sealed.size, 2, 3_600_000_000)
        await change(chain)
        later = await mark(chain, None)
        assert later.flip == sealed.flip
        at = due(view)
        assert at is not None
        assert (at.seq, at.now_us) == (head, time_us)
        assert at.retention == Retention(versions=2, window=timedelta(hours=1))
        done = await chain._compactor.flip()
        assert done is not None
        assert (view.cut, done.cut) == (sealed.size, head)
        assert due(view) is None
        assert await chain._compactor.flip() is None
        await chain.compact()  # a root's own checkpoint repeats it too
        assert view.trust.checkpoint is not None
        assert view.trust.checkpoint.flip == sealed.flip


async def test_what_stays_is_at_least_what_the_chain_demands() -> None:
    async with await opened(policy={"retention": {"versions": 4, "days": 1}}) as chain:
        view = chain._ledger.view
        assert flip_at(3, Retention(), view) == Flip(3, 4, 86_400_000_000)
        with pytest.raises(UsageError, match="tombstones"):
            flip_at(3, Retention(tombstones=timedelta(days=1)), view)
        with pytest.raises(UsageError, match="window"):
            flip_at(3, Retention(window=timedelta.max), view)


async def test_a_checkpoint_repeats_the_flip_or_is_one() -> None:
    async with await opened() as chain:
        view = chain._ledger.view
        first = decode(Checkpoint, checkpoint_row(chain._ledger, ALICE, keep=Retention()).body)

        def told(flip: Flip | None) -> Checkpoint:
            state = first.present + (flip.encode() if flip else b"")
            return Checkpoint(*first.fields(), first.signature, state)

        check_flip(view, told(None))
        check_flip(view, told(Flip(first.size)))
        with pytest.raises(CorruptLog, match="repeat"):
            check_flip(view, told(Flip(first.size - 1)))
        for wrong in (Flip(first.size, 0), Flip(first.size, 1 << 63), Flip(first.size, 1, 1 << 63)):
            with pytest.raises(CorruptLog, match="impossible"):
                check_flip(view, told(wrong))
        await mark(chain, Retention())
        with pytest.raises(CorruptLog, match="repeat"):
            check_flip(view, told(None))


async def test_who_follows_is_called_once_for_each_checkpoint_that_leaves_work() -> None:
    calls = []
    async with await opened() as chain:
        flips = Flips(chain._ledger, lambda: calls.append(1))
        await mark(chain, None)
        await change(chain)
        assert not calls
        await mark(chain, Retention())
        await change(chain)
        assert len(calls) == 1
        await mark(chain, None)
        assert len(calls) == 2
        await chain._compactor.flip()
        await mark(chain, None)
        assert len(calls) == 2
        flips.end()
        await mark(chain, Retention())
        assert len(calls) == 2
