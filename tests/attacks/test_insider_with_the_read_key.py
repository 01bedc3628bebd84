"""Insider: may read all and write nothing, and has the disk. Wants others to read a forgery."""

from __future__ import annotations

import pytest

from ate.crypto.hash import digest
from ate.errors import CorruptLog, WriteDenied
from ate.event.access import Access, Any, Only
from ate.event.commit import Record
from ate.event.row import Row
from ate.ids import ObjectId
from ate.session import Session
from ate.testing.forger import Line, certificate_lines
from ate.testing.stage import Stage
from ate.testing.tamper import relinked, row_span, spliced, with_body


async def scene() -> tuple[Stage, Session, Session, ObjectId]:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(read=Only(alice.public, bob.public), write=Any(alice.public))
    folder = await stage.as_(alice).store("pay 10 to carol", access=rule)
    await stage.as_(alice).store("something later")
    assert await stage.as_(bob).load(folder) == "pay 10 to carol"
    return stage, alice, bob, folder


async def forgery(stage: Stage, bob: Session, note: ObjectId) -> tuple[int, int, Row, bytes]:
    """Return where the note is, and another text sealed exactly as alice would have sealed it."""
    ledger = await stage.ledger(bob)
    record, at = ledger.view.find(ledger.view.index.locate(note))
    row = record.row(at)
    key = ledger.domains(bob).key(row.domain, row.epoch)
    how = ledger.pipeline.confidentiality
    sealer = how.sealer(ledger.view.trust.chain_id, record.author.salt, row.domain, row.epoch, key)
    nonce, head = at.to_bytes(12, "little"), record.head(at)
    plain = sealer.open(nonce, bytes(record.inline(row)), head)
    forged = sealer.seal(nonce, plain.replace(b"pay 10", b"pay 99"), head)
    return record.sequencer.index, at, row, forged


@pytest.mark.parametrize("keeps_snapshot", [False, True])
async def test_a_body_forged_with_the_right_key(keeps_snapshot: bool) -> None:
    """It opens, but it is not the body that alice signed."""
    stage, alice, bob, note = await scene()
    number, at, _, forged = await forgery(stage, bob, note)
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    payloads[number] = with_body(payloads[number], at, forged)
    tamperer.write(payloads)
    if not keeps_snapshot:
        tamperer.remove("index")
    for who in (alice, bob):
        with pytest.raises(CorruptLog):
            await stage.as_(who).load(note)
    assert not (await stage.verify()).ok


@pytest.mark.parametrize("keeps_snapshot", [False, True])
@pytest.mark.parametrize("depth", ["row", "author part"])
async def test_body_and_row_forged(depth: str, keeps_snapshot: bool) -> None:
    """The row's hash made right too, and the root over the rows: then the signature is wrong."""
    stage, alice, bob, note = await scene()
    number, at, row, forged = await forgery(stage, bob, note)
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    bad = with_body(payloads[number], at, forged)
    bad = spliced(bad, row_span(at).start + 80, digest(forged))
    if depth == "author part":
        from ate import merkle
        from ate.crypto.hash import digest_many

        root = merkle.rows_root(digest_many(Record(memoryview(bad)).signed_rows()))
        bad = spliced(bad, 128, root)
    payloads[number] = bad
    tamperer.write(relinked(payloads))
    if not keeps_snapshot:
        tamperer.remove("index")
    with pytest.raises(CorruptLog):
        await stage.as_(alice).load(note)
    assert row.body_hash != digest(forged)


async def test_a_version_of_its_own_is_refused() -> None:
    stage, _, bob, note = await scene()
    with pytest.raises(WriteDenied):
        await stage.as_(bob).change(note, "pay 99 to bob")
    _, _, row, forged = await forgery(stage, bob, note)
    forger = await stage.forger(bob)
    lines = certificate_lines(bob, forger.chain_id, stage.clock.now_us())
    line = Line(note, body=forged, domain=row.domain, epoch=row.epoch, base=1)
    with pytest.raises(WriteDenied):
        await stage.judge(forger.commit(*lines, line))
