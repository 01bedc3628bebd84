"""Curious host: keeps, checks and serves the chain by the rules, and reads what it can."""

from __future__ import annotations

import pytest

from ate.errors import NoReadKey, UsageError
from ate.event.access import Access, Only
from ate.event.commit import Record
from ate.event.row import EPOCH_SHIFT, Kind
from ate.testing.forger import Line, certificate_lines
from ate.testing.stage import Stage, role_draft, submit


async def test_it_can_do_its_work_without_a_key() -> None:
    """Open, judge a commit it cannot read, verify, and say what is there."""
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    folder = await stage.as_(alice).store(
        "folder", access=Access(read=Only(alice.public, bob.public))
    )
    note = await stage.as_(alice).store("secret", parent=folder)
    async with stage.open(None, readonly=True) as chain:
        assert len(chain) == 2
        assert await chain.dio().exists(note)
    found = await stage.verify()
    assert found.ok
    assert found.sealed_rows == 2
    forger = await stage.forger(alice)
    lines = certificate_lines(alice, forger.chain_id, stage.clock.now_us())
    stored = (await stage.ledger()).view.stored(note)
    assert stored is not None
    line = Line(note, folder, body=b"sealed, for all it knows", base=stored.seq)
    await stage.judge(forger.commit(*lines, line))


async def test_it_sees_every_change_and_reads_none() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("secret")
    await stage.as_(alice).change(note, "changed")
    await stage.as_(alice).delete(note)
    seen = []
    async with stage.open(None, readonly=True) as chain:
        async for event in chain.watch(since=0):
            assert event.value is None
            seen.append((event.id, event.is_new, event.is_delete))
            if len(seen) == 3:
                break
    assert seen == [(note, True, False), (note, False, False), (note, False, True)]


async def test_nothing_of_a_sealed_row_changes_with_its_content_but_the_length() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store_many(["yes", "no!", "yes"])
    record = Record(memoryview(stage.tamperer().payloads()[-1]))
    rows = [record.row(at) for at in range(record.row_count) if record.row(at).kind == Kind.DATA]
    assert len({row.length for row in rows}) == 1
    assert len({row.body_hash for row in rows}) == 3
    assert all(row.stamp >> EPOCH_SHIFT == 1 for row in rows)


async def test_it_can_write_nothing() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("secret")
    with pytest.raises((NoReadKey, UsageError)):
        await stage.as_(None).store("from the host")
    async with stage.open(None) as chain:
        with pytest.raises(UsageError, match="signed"):
            await submit(chain, None, role_draft("root", 2, ()))
    assert await stage.as_(alice).load(note) == "secret"
