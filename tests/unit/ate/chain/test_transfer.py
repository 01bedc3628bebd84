"""`ate.chain.transfer`: bodies come out of the body file and go back; what is signed stays."""

from __future__ import annotations

import pytest
from tests.unit.ate.mesh.served import Envoy, Scribe, rooted

from ate import limits
from ate.chain.transfer import check_complete, countersigned, is_same, numbered, pack, unpack
from ate.errors import CorruptLog, ProtocolError
from ate.event.commit import AUTHOR_BYTES, Record, SequencerPart
from ate.event.prefix import is_commit
from ate.event.row import PLACE_ABSENT, PLACE_BODY_FILE
from ate.event.thinned import ThinRecord, decode_record
from ate.ids import ObjectId
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.mesh.root import Root
from ate.testing.forger import Line
from ate.testing.office import UNORDERED, Office, draft
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member
from ate.testing.tamper import ordered
from ate.wire.message import Accepted, Submit

LARGE = b"large" * limits.BODY_INLINE_BYTES_MAX
NOTE, OTHER = bytes([1]) * 16, bytes([2]) * 16


async def hosted(*commits: tuple[Line, ...]) -> tuple[Root, list[bytes]]:
    root, scribe = await rooted(store=LocalLog.open("/c", disk=SimDisk()))
    return root, await write(root, scribe, *commits)


async def write(root: Root, scribe: Scribe, *commits: tuple[Line, ...]) -> list[bytes]:
    sent, envoy = [], Envoy()
    for lines in commits:
        sent.append(scribe.commit(*lines))
        await root.submit(envoy, Submit(1, sent[-1]))
    await envoy.until(Accepted, len(commits))
    return sent


async def test_what_was_sent_is_what_others_get() -> None:
    lines = (Line(NOTE, body=b"small"), Line(OTHER, body=LARGE), Line(b"3" * 16, body=b"more"))
    root, (sent,) = await hosted(lines)
    stored = root.frame(1)
    assert len(stored) < len(LARGE)
    packed = pack(root.ledger.view, stored)
    assert bytes(packed[:AUTHOR_BYTES]) == sent[:AUTHOR_BYTES]
    assert bytes(packed[256:]) == sent[256:]
    again = pack(root.ledger.view, memoryview(bytes(packed)))
    assert bytes(again) == bytes(packed)
    kept = MemoryLog()
    back = Record(unpack(kept, Record(memoryview(bytes(packed)))))
    assert back.leaf == Record(stored).leaf
    assert bytes(kept.body(back.row(1).place, back.row(1).length)) == LARGE
    assert [bytes(back.inline(back.row(at))) for at in (0, 2)] == [b"small", b"more"]
    await root.close()


async def test_a_commit_without_large_bodies_is_not_copied() -> None:
    root, _ = await hosted((Line(NOTE, body=b"small"),))
    stored = root.frame(1)
    assert pack(root.ledger.view, stored) is stored
    record = Record(stored)
    assert unpack(MemoryLog(), record) is record.payload
    assert pack(root.ledger.view, stored, sparse=100) is stored
    await root.close()


async def test_sparse_leaves_out_what_is_longer() -> None:
    lines = (Line(NOTE, body=b"x" * 100), Line(OTHER, body=LARGE), Line(b"3" * 16, body=b"y" * 101))
    root, _ = await hosted(lines)
    for bound, absent in ((100, [False, True, True]), (101, [False, True, False])):
        record = Record(memoryview(pack(root.ledger.view, root.frame(1), sparse=bound)))
        assert [place == PLACE_ABSENT for place in record.table["place"].tolist()] == absent
        assert record.leaf == Record(root.frame(1)).leaf
        kept = unpack(MemoryLog(), record)
        assert kept is record.payload
    await root.close()


async def test_a_commit_that_lost_rows_keeps_the_bodies_it_has() -> None:
    root, scribe = await rooted(store=LocalLog.open("/c", disk=SimDisk()))
    await write(root, scribe, (Line(NOTE, body=b"old"), Line(OTHER, body=LARGE)))
    await write(root, scribe, (Line(NOTE, body=b"new", base=2, created=2),))
    await root.compact()
    frames = [payload for _, payload in root.ledger.store.scan(0)]
    assert pack(root.ledger.view, frames[0]) is frames[0]
    (thin,) = [
        one for one in frames
        if is_commit(one) and isinstance(decode_record(one), ThinRecord)
        and len(decode_record(one).table) and decode_record(one).row(0).id == OTHER
    ]  # fmt: skip
    packed = decode_record(memoryview(pack(root.ledger.view, thin, sparse=1)))
    assert packed.leaf == decode_record(thin).leaf
    assert bytes(packed.inline(packed.row(0))) == LARGE
    assert unpack(MemoryLog(), packed) is packed.payload

    root.ledger.store.body = lambda place, length: memoryview(LARGE)[:7]  # type: ignore[method-assign]
    with pytest.raises(CorruptLog, match="not whole"):
        pack(root.ledger.view, thin)
    await root.close()


def test_what_is_submitted_carries_all_its_bodies() -> None:
    scribe = Scribe()
    scribe.join(bytes(32))
    payload = bytearray(scribe.note(id=bytes(ObjectId.random())))
    check_complete(Record(memoryview(payload)))
    for place in (PLACE_BODY_FILE | 4096, PLACE_ABSENT):
        payload[272 + 120 : 272 + 128] = place.to_bytes(8, "little")
        with pytest.raises(ProtocolError):
            check_complete(Record(memoryview(payload)))


def test_a_number_is_put_in_its_place() -> None:
    scribe = Scribe()
    scribe.join(bytes(32))
    payload = scribe.note()
    part = SequencerPart(7, 8, 9, b"l" * 32)
    made = numbered(payload, part)
    assert Record(memoryview(made)).sequencer == part
    assert (made[:192], made[256:]) == (payload[:192], payload[256:])


@pytest.mark.parametrize(
    "raw", [b"", b"\x01" * 20, b"\x01" + bytes(300), b"\x01\0\0\0" + b"\xff" * 300]
)
async def test_what_is_no_commit_is_found_out(raw: bytes) -> None:
    root, _ = await rooted()
    with pytest.raises((ProtocolError, limits.LimitExceeded)):
        pack(root.ledger.view, memoryview(raw))
    await root.close()


async def test_the_servers_signature_takes_the_room_that_was_left() -> None:
    bob = member("bob")
    made = await Office.of(member("alice"), bob)
    commit = await made.made(bob, draft(), draft())
    sent = memoryview(ordered(commit, UNORDERED))
    came = memoryview(await made.take(commit, over=bob))
    assert is_same(sent, came)
    record = Record(came)
    assert countersigned(record, record.signature) == bytes(came)
    again = countersigned(record, bytes(80))
    assert is_same(memoryview(again), came)
    for at in (8, 200, 272, len(came) - 9):  # author part, place, first row, bodies
        other = bytearray(came)
        other[at] ^= 1
        assert is_same(sent, memoryview(other)) is (at == 200)
    assert not is_same(sent, came[:-8])


async def test_what_its_author_has_signed_is_the_same_with_this_signature_only() -> None:
    bob = member("bob")
    made = await Office.of(member("alice"), bob, mode="distributed", policy={})
    commit = await made.made(bob, draft())
    sent, came = memoryview(ordered(commit, UNORDERED)), memoryview(await made.take(commit))
    assert is_same(sent, came)
    assert not is_same(sent, memoryview(countersigned(Record(came), bytes(64))))
