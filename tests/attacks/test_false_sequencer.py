"""False sequencer: orders, in a centralized chain, what it may not.

It is a connection, a server or a replica that puts in commits which neither their author nor a
server of the chain has signed; or it is that server, and wants more than to write values.
"""

from __future__ import annotations

import msgspec
import pytest

from ate.chain.transfer import countersigned, numbered
from ate.errors import AteError, BadSignature, CorruptLog, Replayed, WriteDenied
from ate.event.access import Access, Everyone
from ate.event.commit import Origin, Record, SequencerPart
from ate.event.header import Header
from ate.event.row import Kind
from ate.event.system import PublicKeys, Role, encode, system_id
from ate.ids import ROOT
from ate.session import Session
from ate.testing.forger import Line, ruled
from ate.testing.office import UNORDERED, Office, draft, note, sequencer
from ate.testing.stage import member
from ate.testing.tamper import ordered, relinked
from ate.trust.sequence import NO_SEQUENCE, Sequencer

ALICE, BOB, MALLORY = member("alice"), member("bob"), member("mallory")


async def office(**founding: object) -> Office:
    return await Office.of(ALICE, BOB, **founding)


async def follows(made: Office, frames: list[bytes]) -> None:
    """Let a replica judge frames that a server sends."""
    await made.copy(frames=frames)


async def passed(made: Office, who: Session, *lines: Line, key: Sequencer | None = None) -> bytes:
    """Return a frame that a server has signed without judging, whatever it says."""
    view = made.ledger.view
    part = SequencerPart(view.head + 1, view.time_us, view.frontier.size, view.link)
    commit = made.forged(who, *lines)
    record = Record(memoryview(numbered(ordered(commit, UNORDERED), part)))
    return countersigned(record, (key or made.key).sign(record.leaf))


# --- at the server ------------------------------------------------------------------------------


async def test_who_has_proved_the_key_needs_no_signature() -> None:
    made = await office()
    frame = await made.take(made.forged(BOB, note()), over=BOB)
    assert Record(memoryview(frame)).author.suite == 0
    await follows(made, made.frames)


@pytest.mark.parametrize("over", [ALICE, MALLORY], ids=["a member", "a stranger"])
async def test_another_connection_sends_in_my_name(over: Session) -> None:
    made = await office()
    with pytest.raises(BadSignature, match="another's connection"):
        await made.take(made.forged(BOB, note()), over=over)


async def test_nobody_has_proved_anything() -> None:
    made = await office()
    with pytest.raises(BadSignature, match="neither its author nor a sequencer"):
        await made.take(made.forged(BOB, note()))


async def test_a_stranger_has_no_rights_over_its_own_connection() -> None:
    made = await office()
    with pytest.raises(BadSignature, match="not published"):
        await made.take(made.forged(MALLORY, note()), over=MALLORY)
    key = Line(system_id("key", MALLORY.public.key_id), kind=Kind.KEY,
               body=encode(PublicKeys.of(MALLORY.public)))  # fmt: skip
    with pytest.raises(WriteDenied):
        await made.take(made.forged(MALLORY, key, note()), over=MALLORY)


async def test_my_numbers_are_not_used_up_by_others() -> None:
    made = await office()
    commit = made.forged(BOB, note())
    theirs = made.forged(ALICE, note(), key_id=BOB.public.key_id)
    with pytest.raises(Replayed, match="not that of the author"):
        await made.take(theirs, over=BOB)
    await made.take(commit, over=BOB)
    with pytest.raises(Replayed):
        await made.take(commit, over=BOB)


async def test_unsigned_in_a_distributed_chain() -> None:
    made = await office(mode="distributed", policy={})
    for over in (BOB, None):
        with pytest.raises(BadSignature, match="signed in 0"):
            await made.take(made.forged(BOB, note()), over=over)


async def test_the_room_is_not_filled_by_the_author() -> None:
    made = await office()
    for signature in (b"", b"\x01" * 80, NO_SEQUENCE + bytes(8)):
        with pytest.raises(BadSignature, match="leaves room"):
            await made.take(made.forged(BOB, note(), signature=signature), over=BOB)


# --- at a replica -------------------------------------------------------------------------------


async def test_a_stripped_signature() -> None:
    made = await office()
    frame = await made.take(made.forged(BOB, note()), over=BOB)
    record = Record(memoryview(frame))
    with pytest.raises(CorruptLog, match="neither its author nor a sequencer"):
        await follows(made, [made.frames[0], countersigned(record, NO_SEQUENCE)])


async def test_a_foreign_server() -> None:
    made = await office()
    other = sequencer(b"another")
    await made.take(made.forged(BOB, note()), over=BOB, key=other)
    with pytest.raises(CorruptLog, match="neither its author nor a sequencer"):
        await follows(made, made.frames)


async def test_a_foreign_server_under_the_name_of_the_true_one() -> None:
    made = await office()
    frame = await passed(made, BOB, note(), key=sequencer(b"another"))
    record = Record(memoryview(frame))
    forged = made.key.public.key_id + record.signature[16:]
    with pytest.raises(CorruptLog, match="not a signature of key"):
        await follows(made, [*made.frames, countersigned(record, forged)])


async def test_a_signature_moved_to_another_commit_or_place() -> None:
    made = await office()
    commits = made.forged(BOB, note()), made.forged(ALICE, note())
    one, two = await made.take(commits[0], over=BOB), await made.take(commits[1], over=ALICE)
    genesis, first, second = made.frames[0], Record(memoryview(one)), Record(memoryview(two))
    swapped = [genesis, countersigned(first, second.signature)]
    moved = relinked([genesis, two])
    for frames in (swapped, moved):
        with pytest.raises(CorruptLog, match="not a signature of key"):
            await follows(made, frames)


async def test_a_signature_moved_to_another_time() -> None:
    made = await office()
    frame = bytearray(await made.take(made.forged(BOB, note()), over=BOB))
    frame[200] ^= 1
    with pytest.raises(CorruptLog, match="not a signature of key"):
        await follows(made, [made.frames[0], bytes(frame)])


async def test_a_commit_of_another_chain_of_the_same_server() -> None:
    made, other = await office(), await office()
    frame = await other.take(other.forged(BOB, note()), over=BOB)
    with pytest.raises(CorruptLog, match="another chain"):
        await follows(made, [made.frames[0], *relinked([made.frames[0], frame])[1:]])


# --- the server itself wants more than to write values ------------------------------------------


async def test_the_server_can_write_noise_in_my_name() -> None:
    """What centralized means: of who wrote a value, there is the server's word."""
    made = await office()
    await follows(made, [*made.frames, await passed(made, BOB, note(b"noise"))])


def _role(*who: Session) -> Line:
    role = Role("root", 2, tuple(PublicKeys.of(one.public) for one in who))
    return Line(system_id("role", b"root"), kind=Kind.ROLE, body=encode(role))


def _sequencers() -> Line:
    role = Role("sequencer", 1, (), sequencers=(sequencer(b"another").public.raw,))
    return Line(system_id("role", b"sequencer"), kind=Kind.ROLE, body=encode(role))


@pytest.mark.parametrize(
    "line",
    [_role(MALLORY), _sequencers(), ruled(note(), Access(read=Everyone)), note(epoch=0),
     note(domain=b"another's domain")],
    ids=["roots", "sequencers", "a rule", "in plain", "sealed for others"],
)  # fmt: skip
@pytest.mark.parametrize("who", [ALICE, BOB], ids=["root", "member"])
async def test_the_server_cannot_decide_who_reads_and_writes(line: Line, who: Session) -> None:
    made = await office()
    with pytest.raises(CorruptLog, match="its author has not signed"):
        await follows(made, [*made.frames, await passed(made, who, line)])


async def test_the_server_cannot_grant_itself_a_key() -> None:
    made = await office()
    ledger = await made.copy(ALICE)
    raw = ledger.view.grant(system_id("grant", bytes(ROOT)))
    assert raw is not None
    grant = Line(system_id("grant", bytes(ROOT)), kind=Kind.GRANT, body=bytes(raw))
    with pytest.raises(CorruptLog, match="its author has not signed"):
        await follows(made, [*made.frames, await passed(made, ALICE, grant)])


async def test_the_server_cannot_change_the_chains_rule() -> None:
    made = await office()
    record, at = made.ledger.view.find(1)
    row = record.row(at)
    line = Line(bytes(ROOT), kind=Kind.GENESIS, body=bytes(record.inline(row)), base=1,
                header=Header(Access(Everyone, Everyone)))  # fmt: skip
    with pytest.raises(CorruptLog, match="its author has not signed"):
        await follows(made, [*made.frames, await passed(made, ALICE, line)])


async def test_the_server_cannot_move_an_object_below_one_that_all_may_read() -> None:
    made = await office()
    board, mine = draft(b"for all"), draft(b"mine")
    board.header = Header(Access(read=Everyone))
    await made.take(await made.made(ALICE, board))  # it has a rule: she signs it
    await made.take(await made.made(ALICE, mine, session=10), over=ALICE)
    seq = made.ledger.view.head
    moved = note(id=mine.id, parent=board.id, base=seq, created=seq)
    with pytest.raises(CorruptLog, match="not signed that it moves"):
        await follows(made, [*made.frames, await passed(made, ALICE, moved)])
    stays = note(id=mine.id, base=seq, created=seq)
    await follows(made, [*made.frames, await passed(made, ALICE, stays)])


async def test_a_signed_commit_is_judged_as_ever() -> None:
    """Also over a proved connection: a broken signature is not replaced by the server's."""
    made = await office()
    ledger = await made.copy(BOB)
    ledger.proved = None
    commit, _ = await ledger.preparer(BOB).prepare(
        [draft()], origin=Origin(BOB.device, 3, 1, 0), seen_seq=ledger.view.head,
        now_us=ledger.now_us(),
    )  # fmt: skip
    assert commit.author.suite == 2
    broken = msgspec.structs.replace(commit, signature=bytes(64))
    with pytest.raises(AteError, match="does not verify"):
        await made.take(broken)
    await made.take(commit)
    await follows(made, made.frames)
