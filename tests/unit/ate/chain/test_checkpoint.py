"""Checkpoints seal what is before them, by a root key, and are refused when they do not."""

from __future__ import annotations

import pytest

import ate
from ate.chain.checkpoint import CHECKPOINT_ID, checkpoint_row
from ate.chain.verify import verify
from ate.errors import AteError, BadSignature, CorruptLog, UsageError
from ate.event.system import Checkpoint, decode, encode


async def opened(session: ate.Session) -> ate.Chain:
    return await ate.open("sealed", memory=True, session=session)


async def add(chain: ate.Chain, number: int) -> None:
    async with chain.dio() as dio:
        dio.store({"number": number})


async def test_a_checkpoint_covers_all_commits_before_it() -> None:
    session = ate.Session.new("alice@example.com")
    async with await opened(session) as chain:
        await add(chain, 1)
        size, root = chain.commits, chain.root
        await chain.checkpoint()
        sealed = chain._ledger.view.trust.checkpoint
        assert sealed is not None
        assert (sealed.size, sealed.root) == (size, root)
        assert sealed.key_id == session.public.key_id
        await add(chain, 2)
        await chain.checkpoint()
        assert len(chain) == 2
        assert (await verify(chain._ledger.store)).ok


async def test_a_session_without_a_root_key_cannot_seal() -> None:
    alice, bob = ate.Session.new("alice@example.com"), ate.Session.new("bob@example.com")
    async with await opened(alice) as chain:
        with pytest.raises(UsageError, match="root key"):
            checkpoint_row(chain._ledger, bob)
        with pytest.raises(UsageError, match="root key"):
            checkpoint_row(chain._ledger, None)


@pytest.mark.parametrize(
    "change, error",
    [
        ({"size": 1}, CorruptLog),
        ({"root": bytes(32)}, CorruptLog),
        ({"key_id": bytes(16)}, BadSignature),
        ({"signature": bytes(3373)}, BadSignature),
        ({"time_us": 1}, BadSignature),
    ],
)
async def test_an_untrue_checkpoint_is_refused(
    change: dict[str, object], error: type[AteError]
) -> None:
    session = ate.Session.new("alice@example.com")
    async with await opened(session) as chain:
        await add(chain, 1)
        row = checkpoint_row(chain._ledger, session)
        true = decode(Checkpoint, row.body)
        fields = {name: getattr(true, name) for name in true.__struct_fields__}
        row.body = encode(Checkpoint(**{**fields, **change}))  # type: ignore[arg-type]
        head = chain.head
        with pytest.raises(error):
            await chain._writer.submit([row], session, ate.FULL, None)
        assert chain.head == head
        assert chain._ledger.view.index.locate(CHECKPOINT_ID) == 0


async def test_a_checkpoint_that_others_overtook_is_refused() -> None:
    session = ate.Session.new("alice@example.com")
    async with await opened(session) as chain:
        await add(chain, 1)
        row, head = checkpoint_row(chain._ledger, session), chain.head
        await add(chain, 2)
        with pytest.raises(ate.Conflict):
            await chain._writer.submit([row], session, ate.FULL, head)
