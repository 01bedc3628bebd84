"""Vectors of centralized chains: what servers sign, and what must not be taken for it."""

from __future__ import annotations

from typing import Any

from ate.chain.transfer import countersigned, numbered
from ate.event.access import Access, Everyone
from ate.event.commit import Record, SequencerPart
from ate.event.row import Kind
from ate.event.system import Role, encode, system_id
from ate.testing.forger import Line, ruled
from ate.testing.office import UNORDERED, Office, draft, note, sequencer
from ate.testing.stage import member
from ate.testing.tamper import ordered
from ate.trust.sequence import NO_SEQUENCE, Sequencer

ALICE, BOB = member("alice"), member("bob")
BAD = "bad_signature"


async def sequences() -> dict[str, Any]:
    """Return a chain, and what may or may not come behind it."""
    made = await Office.of(ALICE, BOB)
    await made.take(await made.made(ALICE, draft(b"from alice")), over=ALICE)
    await made.take(await made.made(BOB, draft(b"from bob")), over=BOB)
    last = Record(memoryview(made.frames[-1]))
    true = _frame(made, note())
    record, other = Record(memoryview(true)), sequencer(b"other")
    again = Record(memoryview(_frame(made, note())))
    cases = [
        ("signed by the sequencer", "", true),
        ("a stripped signature", BAD, countersigned(record, NO_SEQUENCE)),
        ("the signature of another commit", BAD, countersigned(record, again.signature)),
        ("the signature of the commit before", BAD, countersigned(record, last.signature)),
        ("another server's", BAD, _frame(made, note(), key=other)),
        ("another server's under the name of the true one", BAD, countersigned(
            record, made.key.public.key_id + other.sign(record.leaf)[16:])),
        ("a time that was not signed", BAD, true[:200] + bytes([true[200] ^ 1]) + true[201:]),
        ("an author who is not published", BAD, _frame(made, note(), key_id=bytes(15) + b"1")),
        ("new sequencers that no author has signed", BAD, _frame(made, _role(other))),
        ("a rule that no author has signed", BAD,
         _frame(made, ruled(note(), Access(read=Everyone)))),
        ("a value in plain where it is sealed", BAD, _frame(made, note(epoch=0))),
        ("a value in another read domain", BAD, _frame(made, note(domain=b"0123456789abcdef"))),
    ]  # fmt: skip
    return {
        "about": "a centralized chain, frame by frame; then single frames that come behind it, "
        "and the error that a replica refuses each with, none for the first",
        "sequencer": made.key.public.raw.hex(),
        "frames": [one.hex() for one in made.frames],
        "signed": {"leaf": last.leaf.hex(), "signature": last.signature.hex()},
        "cases": [
            {"name": name, "payload": frame.hex(), "error": error} for name, error, frame in cases
        ],
    }


def _frame(made: Office, *lines: Line, key: Sequencer | None = None, **fields: Any) -> bytes:
    """Return the next frame as a server signs it that judges nothing."""
    view = made.ledger.view
    part = SequencerPart(view.head + 1, view.time_us + 2, view.frontier.size, view.link)
    commit = made.forged(BOB, *lines, **fields)
    record = Record(memoryview(numbered(ordered(commit, UNORDERED), part)))
    return countersigned(record, (key or made.key).sign(record.leaf))


def _role(other: Sequencer) -> Line:
    role = Role("sequencer", 1, (), sequencers=(other.public.raw,))
    return Line(system_id("role", b"sequencer"), kind=Kind.ROLE, body=encode(role))
