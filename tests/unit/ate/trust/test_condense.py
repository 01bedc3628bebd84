from __future__ import annotations

from ate.event.header import Header
from ate.event.row import Kind, Row
from ate.testing.stage import Stage
from ate.trust.condense import CondenseByHeader, CondenseByTombstone, KeepNewest, decide
from ate.trust.plugin import Retention, Vote

KEEP, DROP = Vote(keep=True), Vote(keep=False)
FORCE_KEEP, FORCE_DROP = Vote(keep=True, force=True), Vote(keep=False, force=True)


def test_forced_votes_win_and_keeping_wins_among_equals() -> None:
    assert decide([KEEP, DROP])
    assert not decide([DROP, DROP])
    assert not decide([KEEP, FORCE_DROP])
    assert decide([DROP, FORCE_DROP, FORCE_KEEP])
    assert not decide([])


async def rows_of(stage: Stage) -> list[tuple[Row, Header | None]]:
    """Return the data rows of a chain, newest first, as compaction shows them."""
    ledger = await stage.ledger()
    found = []
    for seq in range(ledger.view.head, 0, -1):
        record, at = ledger.view.find(seq)
        if record.row(at).kind <= Kind.TOMBSTONE:
            found.append((record.row(at), record.header(at)))
    return found


def kept(rows: list[tuple[Row, Header | None]], *voters: Retention) -> list[tuple[bytes, int]]:
    return [
        (row.id, row.kind)
        for row, header in rows
        if decide([voter.vote(row, header) for voter in voters])
    ]


async def test_deleted_objects_leave_only_their_tombstone() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    gone = await stage.as_(alice).store("one")
    await stage.as_(alice).change(gone, "two")
    await stage.as_(alice).delete(gone)
    there = await stage.as_(alice).store("three")
    rows = await rows_of(stage)
    assert len(rows) == 4
    assert kept(rows, CondenseByTombstone()) == [(gone, Kind.TOMBSTONE)], (
        "of the rest it says nothing"
    )
    both = kept(rows, KeepNewest(), CondenseByTombstone())
    assert both == [(there, Kind.DATA), (gone, Kind.TOMBSTONE)]
    assert kept(rows, KeepNewest()) == [(there, Kind.DATA), (gone, Kind.TOMBSTONE)]


async def test_only_the_newest_version_is_kept() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("one")
    await stage.as_(alice).change(note, "two")
    rows = await rows_of(stage)
    assert kept(rows, KeepNewest()) == [(note, Kind.DATA)]
    assert kept(rows, KeepNewest(), CondenseByTombstone()) == [(note, Kind.DATA)]


async def test_a_callback_drops_rows_of_a_type() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain, chain.dio() as dio:
        dio.store(7)
    text = await stage.as_(alice).store("text")
    rows = await rows_of(stage)
    schema = next(row.schema for row, _ in rows if row.id != text)
    by_header = CondenseByHeader(lambda row, _: row.schema == schema)
    assert kept(rows, KeepNewest(), by_header) == [(text, Kind.DATA)]


def test_each_is_a_retention_plug_in() -> None:
    for one in (KeepNewest(), CondenseByTombstone(), CondenseByHeader(lambda *_: False)):
        assert isinstance(one, Retention)
