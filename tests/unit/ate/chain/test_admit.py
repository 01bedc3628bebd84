from __future__ import annotations

import pytest

import ate
from ate.chain.admit import admit, check_bodies
from ate.chain.form import check_form, check_rows
from ate.chain.ledger import Ledger
from ate.client import Chain
from ate.errors import BodyNotHeld, CorruptLog, ProtocolError, Refused, Replayed, WriteDenied
from ate.event.access import Access, Any, Everyone
from ate.event.commit import AUTHOR_BYTES, ROWS_AT, Record
from ate.event.payload import encode_payload
from ate.event.row import PLACE_ABSENT, Kind
from ate.ids import ROOT
from ate.testing.forger import Forger, Line, ruled
from ate.testing.stage import member
from ate.testing.tamper import following, ordered, spliced
from ate.trust.plugin import Deny, Proposal, Verdict

FIRST_ROW = ROWS_AT


def ledger_of(chain: Chain) -> Ledger:
    return chain._ledger


def payloads(chain: Chain) -> list[bytes]:
    return [bytes(payload) for _, payload in chain._ledger.store.scan(0)]


def forged(chain: Chain, forger: Forger, *lines: Line) -> Record:
    """Return a forger's commit in the next place of the chain's order."""
    made = forger.commit(*lines)
    return Record(memoryview(ordered(made, following(payloads(chain), 2_000_000_000_000_000))))


async def judged(chain: Chain, record: Record) -> list[int]:
    ledger = ledger_of(chain)
    return await admit(ledger.view, ledger.pipeline, record, time_us=record.sequencer.time_us)


async def test_a_sound_commit_comes_back_with_what_the_index_knew() -> None:
    async with ate.open("a", memory=True) as chain:
        async with chain.dio() as dio:
            known = dio.store(1)
        forger = Forger(chain.id, seen_seq=chain.head)
        record = forged(chain, forger, Line(known.id, base=2, body=b"x"), Line(bytes(range(16))))
        assert await judged(chain, record) == [2, 0]


def check_integrity(record: Record) -> None:
    check_form(record)
    check_rows(record)


async def test_rows_and_header_fields_must_be_the_authors() -> None:
    async with ate.open("a", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store(1, access=Access(write=Everyone))
        raw = payloads(chain)[1]
        record = Record(memoryview(raw))
        check_integrity(record)
        altered = Record(memoryview(spliced(raw, FIRST_ROW + 30, b"\xff")))
        with pytest.raises(CorruptLog, match="rows of commit 1 were altered"):
            check_integrity(altered)
        rare_at = len(raw) - len(raw[raw.index(b"access") :]) + 7
        with pytest.raises((CorruptLog, ProtocolError)):
            check_integrity(Record(memoryview(spliced(raw, rare_at, b"\xa0"))))
        swapped = raw.replace(b"everyone", b"everyone"[::-1])
        with pytest.raises((CorruptLog, ProtocolError)):
            check_integrity(Record(memoryview(swapped)))


async def test_unknown_header_fields_cannot_be_slipped_in() -> None:
    async with ate.open("a", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store(1, access=Access(write=Everyone), reply=ate.ObjectId(bytes(range(16))))
        raw = payloads(chain)[1]
        swapped = raw.replace(b"\xa5reply", b"\xa5relpy")
        assert swapped != raw
        with pytest.raises(CorruptLog, match="header fields"):
            check_integrity(Record(memoryview(swapped)))


async def test_bodies_must_be_the_ones_the_rows_name() -> None:
    async with ate.open("a", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store("attack at dawn")
        view = ledger_of(chain).view
        raw = payloads(chain)[1]
        check_bodies(view, Record(memoryview(raw)))
        with pytest.raises(CorruptLog, match="body of object"):
            check_bodies(view, Record(memoryview(raw.replace(b"dawn", b"dusk"))))


async def test_absent_bodies_of_data_may_be_any() -> None:
    async with ate.open("a", memory=True) as chain:
        view = ledger_of(chain).view
        lines = Line(b"1" * 16, body=b"one"), Line(b"2" * 16, body=b"two")
        commit = Forger(view.trust.chain_id).commit(*lines)
        order = following(payloads(chain), view.time_us)
        for places in ([PLACE_ABSENT, None], [PLACE_ABSENT, PLACE_ABSENT]):
            check_bodies(view, Record(memoryview(b"".join(encode_payload(commit, order, places)))))
        raw = b"".join(encode_payload(commit, order, [PLACE_ABSENT, None]))
        with pytest.raises(CorruptLog, match=f"body of object {b'2'.hex() * 16}"):
            check_bodies(view, Record(memoryview(raw.replace(b"two", b"TWO"))))
        system = Forger(view.trust.chain_id).commit(Line(b"3" * 16, kind=Kind.KEY, body=b"key"))
        raw = b"".join(encode_payload(system, order, [PLACE_ABSENT]))
        with pytest.raises(BodyNotHeld):
            check_bodies(view, Record(memoryview(raw)))
        with pytest.raises(CorruptLog, match="outside"):
            check_bodies(
                view, Record(memoryview(spliced(payloads(chain)[0], FIRST_ROW + 120, b"\xff")))
            )


async def test_a_commit_of_another_chain_is_refused() -> None:
    async with ate.open("a", memory=True) as chain:
        record = forged(chain, Forger(bytes(range(32)), seen_seq=1), Line(bytes(range(16))))
        with pytest.raises(CorruptLog, match="another chain"):
            await judged(chain, record)


async def test_an_author_cannot_have_seen_what_is_not_there() -> None:
    async with ate.open("a", memory=True) as chain:
        record = forged(chain, Forger(chain.id, seen_seq=2), Line(bytes(range(16))))
        with pytest.raises(CorruptLog, match="has seen rows up to 2"):
            await judged(chain, record)


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.TOMBSTONE])
async def test_an_object_cannot_take_the_place_of_a_system_row(kind: Kind) -> None:
    async with ate.open("a", memory=True) as chain, ate.open("b", memory=True) as other:
        assert other.head == 1
        with pytest.raises(ProtocolError, match="reserved"):
            await judged(chain, forged(chain, Forger(chain.id), Line(ROOT, kind=kind, base=1)))
        dio = chain.dio()
        with pytest.raises(ate.AteError):
            dio.delete(ROOT)
            await dio.commit()
        assert chain.head == 1


async def test_replays_are_refused() -> None:
    async with ate.open("a", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store(1)
        again = Record(memoryview(payloads(chain)[1]))
        with pytest.raises(Replayed):
            await judged(chain, again)


async def test_writers_without_the_right_are_refused() -> None:
    alice, bob = member("alice"), member("bob")
    public = Access(read=Everyone)
    async with ate.open("a", memory=True, session=alice, access=public) as chain:
        async with chain.dio() as dio:
            note = dio.store("n", access=Access(write=Any(alice.public, bob.public)))
        before = dict(ledger_of(chain).view.trust.certified)
        theirs = chain.dio(session=bob)
        theirs.store("top")
        with pytest.raises(WriteDenied):
            await theirs.commit()
        assert ledger_of(chain).view.trust.certified == before, "a refused commit leaves nothing"
        theirs.cancel()
        theirs.store("below", parent=note.id)
        await theirs.commit()
        assert len(ledger_of(chain).view.trust.certified) == len(before) + 1


class Moody:
    """A validator of a program's own."""

    name = "moody"

    async def validate(self, proposal: Proposal) -> Verdict:
        return [Deny(0, "not today")]


async def test_a_plug_in_refuses_with_its_reason_and_nothing_lands() -> None:
    async with ate.open("a", memory=True, session=member("alice")) as chain:
        chain._ledger.pipeline.validators.append(Moody())
        dio = chain.dio()
        dio.store(1)
        with pytest.raises(Refused, match="not today"):
            await dio.commit()
        assert dio.has_changes
        chain._ledger.pipeline.validators.pop()
        await dio.commit()


async def test_a_rule_row_is_judged_with_its_header() -> None:
    async with ate.open("a", memory=True) as chain:
        line = ruled(Line(bytes(range(16)), body=b"x"), Access(write=Everyone))
        record = forged(chain, Forger(chain.id, seen_seq=1), line)
        assert await judged(chain, record) == [0]
        assert len(record.payload) > AUTHOR_BYTES
