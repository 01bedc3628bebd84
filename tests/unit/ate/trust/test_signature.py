from __future__ import annotations

from typing import Any

import pytest

from ate.chain.admit import admit
from ate.chain.transfer import countersigned
from ate.chain.view import View
from ate.crypto.sign import SigningKey
from ate.errors import AteError, BadSignature, CorruptLog
from ate.event.access import Access, Everyone
from ate.event.commit import Record, SequencerPart
from ate.event.row import Kind
from ate.event.system import Genesis, PublicKeys, Role, encode, system_id
from ate.ids import ROOT, ObjectId
from ate.log.memory import MemoryLog
from ate.session import CERTIFICATE_DAYS
from ate.testing.forger import Forger, Line, certificate_lines, key_line
from ate.testing.office import Office, note, sequencer
from ate.testing.stage import Note, Stage, member
from ate.testing.tamper import ordered
from ate.trust.pipeline import Pipeline
from ate.trust.soundness import check_system_rows

DAY_S = 86_400
OPEN = Access(Everyone, Everyone)


def line() -> Line:
    return Line(ObjectId.random(), body=b"\xa4Note\x80")


@pytest.mark.parametrize("suite", [1, 2])
async def test_signed_commits_pass_and_are_checked_at_every_opening(suite: int) -> None:
    stage = Stage(suite=suite)
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("note")
    found = await stage.verify()
    assert found.ok
    assert found.signatures[suite] >= 1
    async with stage.open(alice) as chain:
        assert (await chain.dio().load(Note, note)).author == "alice"


@pytest.mark.parametrize("suite", [1, 2])
async def test_unsigned_commits_are_refused(suite: int) -> None:
    stage = Stage(suite=suite, access=OPEN)
    await stage.cast("alice")
    forger = await stage.forger(None)
    with pytest.raises(BadSignature, match=f"chain is of suite {suite}, the commit is signed in 0"):
        await stage.judge(forger.commit(line()))


async def test_suite_1_is_never_downgraded_to_session_keys() -> None:
    stage = Stage(suite=1, access=OPEN)
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(alice)
    lines = certificate_lines(alice, forger.chain_id, stage.clock.now_us())
    with pytest.raises(BadSignature, match="chain is of suite 1, the commit is signed in 2"):
        await stage.judge(forger.commit(*lines, line()))


async def test_suite_2_takes_the_stronger_signature_too() -> None:
    stage = Stage(suite=2, access=OPEN)
    (alice,) = await stage.cast("alice")
    await stage.judge((await stage.forger(alice.own)).commit(line()))


async def test_a_later_suite_is_refused() -> None:
    stage = Stage(suite=2, access=OPEN)
    (alice,) = await stage.cast("alice")
    with pytest.raises(BadSignature, match="signed in 3"):
        await stage.judge((await stage.forger(alice.own, suite=3)).commit(line()))


@pytest.mark.parametrize("suite", [1, 2])
async def test_the_suite_claimed_must_be_that_of_the_key(suite: int) -> None:
    stage = Stage(suite=2, access=OPEN)
    alice, bob = await stage.cast("alice", "bob")
    forger = await stage.forger(bob.own if suite == 2 else bob, suite=suite)
    lines = certificate_lines(bob, forger.chain_id, stage.clock.now_us())
    with pytest.raises(BadSignature, match="not of the suite"):
        await stage.judge(forger.commit(*lines, line()))
    assert alice.public != bob.public


@pytest.mark.parametrize("suite", [1, 2])
async def test_a_key_that_is_not_published_proves_nothing(suite: int) -> None:
    stage = Stage(suite=suite, access=OPEN)
    _, bob = await stage.cast("alice", "bob")
    forger = await stage.forger(bob.own if suite == 1 else bob)
    with pytest.raises(BadSignature, match="is not published here"):
        await stage.judge(forger.commit(line()))


async def test_a_commit_may_bring_its_author_s_key_along() -> None:
    stage = Stage(suite=1, access=OPEN)
    _, bob = await stage.cast("alice", "bob")
    forger = await stage.forger(bob.own)
    await stage.judge(forger.commit(key_line(bob.own), line()))


@pytest.mark.parametrize("suite", [1, 2])
async def test_another_signature_does_not_verify(suite: int) -> None:
    stage = Stage(suite=suite, access=OPEN)
    (alice,) = await stage.cast("alice")
    forger = await stage.forger(alice.own if suite == 1 else alice)
    lines = certificate_lines(alice, forger.chain_id, stage.clock.now_us()) if suite == 2 else []
    other = forger.commit(line()).signature
    forger.origin = forger.origin._replace(lsn=1, prev=0)
    for signature in (other, b"", bytes(len(other))):
        with pytest.raises(BadSignature):
            await stage.judge(forger.commit(*lines, line(), signature=signature))
        forger.origin = forger.origin._replace(lsn=1, prev=0)


async def test_the_author_cannot_claim_somebody_else_s_key() -> None:
    stage = Stage(suite=1)
    alice, bob = await stage.cast("alice", "bob")
    forger = await stage.forger(bob.own)
    with pytest.raises(BadSignature, match="does not verify"):
        await stage.judge(forger.commit(line(), key_id=alice.public.key_id))


async def test_an_expired_certificate_speaks_for_nobody() -> None:
    """The sequencer's time counts: the same commit is good before the end and refused behind it."""
    stage = Stage(suite=2, access=OPEN)
    (alice,) = await stage.cast("alice")
    now = stage.clock.now_us()
    forger = await stage.forger(alice)
    commit = forger.commit(*certificate_lines(alice, forger.chain_id, now), line())
    until = alice.fast(forger.chain_id, now).until_us
    await stage.judge(commit, time_us=until)
    with pytest.raises(BadSignature, match="has expired"):
        await stage.judge(commit, time_us=until + 1)


async def test_a_session_outlives_its_certificates() -> None:
    stage = Stage(suite=2, access=OPEN)
    alice, bob = await stage.cast("alice", "bob")
    for _ in range(3):
        await stage.as_(bob).store("note")
        stage.clock.advance(CERTIFICATE_DAYS * DAY_S)
    assert await stage.as_(alice).texts() == ["note"] * 3
    assert (await stage.verify()).ok


async def test_a_clock_that_was_ahead_leaves_a_chain_that_opens() -> None:
    """Commits carry the chain's time, which never goes back: certificates must reach that far."""
    stage = Stage(suite=2, access=OPEN)
    alice, bob = await stage.cast("alice", "bob")
    stage.clock.advance(90 * DAY_S)
    await stage.as_(alice).store("from the future")
    stage.clock.advance(-90 * DAY_S)
    await stage.as_(bob).store("from the present")
    assert (await stage.ledger()).view.index.live == 2


async def test_a_session_that_ended_before_the_chain_s_time_writes_nothing() -> None:
    stage = Stage(suite=2, access=OPEN)
    alice, bob = await stage.cast("alice", "bob")
    bob.expires_us = stage.clock.now_us() + 1_000_000
    stage.clock.advance(DAY_S)
    await stage.as_(alice).store("later")
    stage.clock.advance(-DAY_S)
    with pytest.raises(AteError, match="expired"):
        await stage.as_(bob).store("too late")
    assert (await stage.ledger()).view.index.live == 1


# --- the first commit -------------------------------------------------------------------------


async def founded(genesis: Genesis, forger: Forger) -> None:
    """Let an empty chain judge a genesis commit."""
    view = View(MemoryLog())
    commit = forger.commit(Line(ROOT, kind=Kind.GENESIS, body=encode(genesis)))
    record = Record(memoryview(ordered(commit, SequencerPart(1, 0, 0, bytes(32)))))
    check_system_rows(record, lambda at: record.inline(record.row(at)), view.trust)
    await admit(view, Pipeline((), view.origins), record, time_us=0)


def genesis_of(*roots: Any, suite: int = 2) -> Genesis:
    return Genesis("x", suite, "distributed", bytes(16), tuple(PublicKeys.of(one) for one in roots))


async def test_a_chain_is_founded_by_one_of_its_roots() -> None:
    alice, bob = member("alice"), member("bob")
    await founded(genesis_of(alice.public, bob.public), Forger(bytes(32), bob.own))
    for forger in (
        Forger(bytes(32)),
        Forger(bytes(32), SigningKey.from_seed(b"m" * 64)),
        Forger(bytes(32), alice.own, suite=2),
    ):
        with pytest.raises(BadSignature, match="not signed by one of its root keys"):
            await founded(genesis_of(alice.public), forger)


async def test_a_chain_of_no_known_suite_is_not_founded() -> None:
    alice = member("alice")
    with pytest.raises(BadSignature, match="unknown suite 0"):
        await founded(genesis_of(alice.public, suite=0), Forger(bytes(32), alice.own))


async def test_a_chain_without_roots_signs_nothing() -> None:
    await founded(genesis_of(suite=0), Forger(bytes(32)))
    with pytest.raises(BadSignature, match="signs nothing"):
        await founded(genesis_of(suite=0), Forger(bytes(32), member("alice").own))


async def test_a_chain_of_suite_0_stays_unsigned_and_open() -> None:
    stage = Stage()
    note = await stage.as_(None).store("note")
    assert await stage.as_(None).load(note) == "note"
    assert (await stage.verify()).signatures[0] == 2


async def test_one_altered_byte_of_the_author_part_is_found() -> None:
    stage = Stage(suite=2)
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("note")
    forger = await stage.forger(alice.own)
    commit = forger.commit(line())
    view = (await stage.ledger()).view
    part = SequencerPart(view.head + 1, view.time_us, view.frontier.size, view.link)
    raw = ordered(commit, part)
    for at in (8, 40, 56, 72, 96, 128, 160):
        altered = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises((BadSignature, CorruptLog)):
            await admit(
                view, Pipeline((), view.origins), Record(memoryview(altered)), time_us=view.time_us
            )


async def test_the_servers_signature_stands_for_its_authors() -> None:
    alice, bob = member("alice"), member("bob")
    made = await Office.of(alice, bob)
    await made.take(made.forged(bob, note()), over=bob)
    await made.copy()
    role = encode(Role("sequencer", 1, (), sequencers=(bytes(32),)))
    renamed = Line(system_id("role", b"sequencer"), kind=Kind.ROLE, body=role)
    for commit, over, said in (
        (made.forged(bob, note()), alice, "another's connection"),
        (made.forged(bob, note()), None, "neither its author nor a sequencer"),
        (made.forged(bob, note(), key_id=b"k" * 16), bob, "is not published here"),
        (made.forged(bob, note(), signature=bytes(64)), bob, "leaves room"),
        (made.forged(bob, renamed), bob, "who may read"),
    ):
        with pytest.raises(BadSignature, match=said):
            await made.take(commit, over=over)
    frame = made.frames[-1]
    spoilt = countersigned(Record(memoryview(frame)), sequencer(b"x").sign(bytes(32)))
    with pytest.raises(CorruptLog, match="nor a sequencer of the chain"):
        await made.copy(frames=[made.frames[0], spoilt])
