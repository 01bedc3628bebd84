"""Forger of heartbeats: a member who may write lets everybody compact, or vouches for a lie.

Only a root's signature makes a checkpoint, and it covers where all are to compact.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_flip import served
from tests.unit.ate.mesh.served import settled

import ate
from ate.chain.checkpoint import checkpoint_row
from ate.chain.retention import Retention
from ate.crypto.sign import SigningKey
from ate.event.system import CHECKPOINT_CONTEXT, Checkpoint, Flip, decode, encode
from ate.mesh.hall import Hall
from ate.testing.stage import member

ALICE, MALLORY = member("alice"), member("mallory")


@asynccontextmanager
async def shared(folder: Path) -> AsyncIterator[tuple[Hall, ate.Chain, ate.Chain]]:
    """Alice's chain, which Mallory may write to."""
    access = ate.Access(read=ate.Everyone, write=ate.Any(ALICE.public, MALLORY.public))
    async with served(folder) as (hall, server):
        url: dict[str, Any] = {"url": server.url}
        async with (
            ate.open("n", session=ALICE, access=access, **url) as chain,
            ate.open("n", session=MALLORY, **url) as other,
        ):
            async with chain.dio() as dio:
                note = dio.store("first")
            for number in range(5):
                note.value = f"version {number}"
                await dio.commit()
            async with other.dio() as dio:
                dio.store("Mallory may write")
            await settled(lambda: chain.head == other.head)
            yield hall, chain, other


def signed(chain: ate.Chain, key: SigningKey, one: Checkpoint, **change: Any) -> bytes:
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    made = Checkpoint(**{**fields, **change})
    signature = key.sign(made.message(chain.id), CHECKPOINT_CONTEXT)
    return encode(Checkpoint(**{**fields, **change, "signature": signature}))


@pytest.mark.parametrize("as_root", [False, True])
async def test_a_checkpoint_of_a_member_is_refused(tmp_path: Path, as_root: bool) -> None:
    async with shared(tmp_path) as (hall, chain, other):
        row = checkpoint_row(chain._ledger, ALICE, keep=Retention())
        named = ALICE.public.key_id if as_root else MALLORY.public.key_id
        key = MALLORY.own.sign
        row.body = signed(other, key, decode(Checkpoint, row.body), key_id=named)
        head = other.head
        with pytest.raises(ate.AteError):
            await other._writer.submit([row], MALLORY, ate.FULL, head)
        root = hall.roots["n"]
        assert (root.ledger.view.head, root.ledger.view.cut) == (head, 0)
        async with other.dio() as dio:
            dio.store("the chain goes on")
        await settled(lambda: chain.head == other.head == head + 1)


@pytest.mark.parametrize("state", ["added", "moved", "genuine"])
async def test_no_flip_can_be_slipped_into_a_root_s_checkpoint(tmp_path: Path, state: str) -> None:
    async with shared(tmp_path) as (hall, chain, other):
        flips = state != "added"
        row = checkpoint_row(chain._ledger, ALICE, keep=Retention(versions=9) if flips else None)
        true = decode(Checkpoint, row.body)
        told = {
            "added": true.present + Flip(true.size).encode(),
            "moved": true.present + Flip(true.size, 1).encode(),
            "genuine": true.state,
        }[state]
        fields = {name: getattr(true, name) for name in true.__struct_fields__}
        row.body = encode(Checkpoint(**{**fields, "state": told}))
        with pytest.raises(ate.AteError) as refused:  # even Alice's own one, in Mallory's name
            await other._writer.submit([row], MALLORY, ate.FULL, other.head)
        assert refused.value.code in ("write_denied", "bad_signature")
        assert hall.roots["n"].ledger.view.cut == 0
        if state != "genuine":  # nor does a root's name on the commit help
            with pytest.raises(ate.AteError, match="sign"):
                await chain._writer.submit([row], ALICE, ate.FULL, chain.head)
        else:
            await chain._writer.submit([row], ALICE, ate.FULL, chain.head)
            await settled(lambda: hall.roots["n"].ledger.view.cut == true.size)


async def test_a_flip_is_repeated_and_points_nowhere_else(tmp_path: Path) -> None:
    async with shared(tmp_path) as (hall, chain, _):
        await chain.checkpoint(compact=True)
        cut = chain._ledger.view.cut
        row = checkpoint_row(chain._ledger, ALICE)
        true = decode(Checkpoint, row.body)
        assert true.flip == Flip(cut)
        for state in (true.present, true.present + Flip(cut - 1).encode(), true.state[:-1]):
            row.body = signed(chain, ALICE.own.sign, true, state=state)
            with pytest.raises(ate.AteError):
                await chain._writer.submit([row], ALICE, ate.FULL, chain.head)
        assert hall.roots["n"].ledger.view.head == chain.head
