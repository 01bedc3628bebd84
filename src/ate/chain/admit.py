"""Station 6: judges a commit.

Is this commit what it claims to be, and may it be here? One function for new and old commits.

It recomputes hashes and asks the pipeline; it never writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from ate.chain.checkpoint import check_checkpoints
from ate.chain.form import check_form, check_rows
from ate.chain.index import SEQ_MASK, SYSTEM
from ate.chain.view import View
from ate.crypto.hash import digest_many
from ate.errors import Conflict, CorruptLog, ProtocolError
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.event.row import PLACE_ABSENT, SYSTEM_FIRST, Kind
from ate.trust.pipeline import Pipeline
from ate.trust.plugin import Proposal
from ate.trust.soundness import check_system_rows


def check_bodies(view: View, record: Record) -> None:
    """Raise CorruptLog when a stored body is not the one its row names; absent ones may be any."""
    payload, kinds = record.payload, record.kinds
    held: list[int] = []
    hashes: list[bytes] = []
    bodies: list[memoryview] = []
    for at, (hash, length, place) in enumerate(record.stored):
        if place == PLACE_ABSENT and kinds[at] == Kind.DATA:
            continue
        held.append(at)
        hashes.append(hash)
        if record.reaches(place, length):
            bodies.append(payload[place : place + length])
        else:
            bodies.append(view.body(record, record.row(at)))
    found = digest_many(bodies)
    if found != hashes:
        wrong = next(at for at, one, other in zip(held, found, hashes) if one != other)
        raise CorruptLog(f"the body of object {record.ids[wrong].hex()} was altered")


async def admit(
    view: View,
    pipeline: Pipeline,
    record: Record,
    *,
    time_us: int,
    drafts: Sequence[Draft] | None = None,
    known: Sequence[int] = (),
    proved: bytes = b"",
    is_mine: bool = False,
) -> list[int]:
    """Judge a commit against the present.

    Args:
        view: the chain up to the commit before.
        record: the commit; its place in the order is not looked at.
        time_us: the sequencer's time.
        drafts: the plain changes if this process has just prepared the commit.
        known: what the index says about the last rows, if it was asked just before.
        proved: see `Proposal`.
        is_mine: this process has made it and sent it: its hashes and signature are known to fit.

    Returns:
        The index's flagged seqs of its object ids, before the commit.

    Raises:
        CorruptLog, ProtocolError: it is not sound.
        BadSignature, WriteDenied, Replayed, Refused: it is sound and not welcome.
        Conflict: it replaces a version that is not the newest one.
    """
    prepared_here = drafts is not None or is_mine
    ids = [draft.id for draft in drafts] if drafts is not None else record.ids
    if not prepared_here:
        check_form(record, ids)
        check_rows(record)
    if drafts is not None and len(set(ids)) != len(ids):
        raise ProtocolError("a commit touches one object twice")
    current = view.index.locate_many(ids[: len(ids) - len(known)])
    current += known
    check_place(view, record)
    _check_kinds(record, current)
    check_checkpoints(view, record)
    await pipeline.judge(
        propose(
            view, record, current, time_us=time_us, drafts=drafts, proved=proved, is_mine=is_mine
        )
    )
    if drafts is None:
        _check_bases(record, current)
    return current


def propose(
    view: View,
    record: Record,
    current: Sequence[int],
    *,
    time_us: int,
    drafts: Sequence[Draft] | None = None,
    proved: bytes = b"",
    is_mine: bool = False,
) -> Proposal:
    """Return a commit as the validators see it; its system rows are sound then.

    Args:
        current: what the index says about its ids.

    Raises:
        CorruptLog, ProtocolError, BadSignature, LimitExceeded: see `check_system_rows`.
    """
    trust = check_system_rows(record, lambda at: view.body(record, record.row(at)), view.trust)
    return Proposal(
        author=record.author,
        root=record.root,
        signature=record.signature,
        record=record,
        body=lambda at: view.body(record, record.row(at)),
        headers=record.headers,
        current=current,
        trust=trust,
        stored=view.stored,
        time_us=time_us,
        prepared_here=drafts is not None or is_mine,
        drafts=drafts,
        root_access=view.root_access(),
        rules=view.rules > 1 or bool(len(record.rare)),
        authorities=trust.spoken_for(record.author, time_us),
        proved=proved,
    )


async def consult(
    view: View, pipeline: Pipeline, payload: bytes, drafts: Sequence[Draft], time_us: int
) -> None:
    """Ask the program's own validators about a commit that is ordered elsewhere.

    Raises:
        Refused: one of them is against it.
    """
    if pipeline.own:
        record = Record(memoryview(payload))
        current = view.index.locate_many([draft.id for draft in drafts])
        await pipeline.judge_own(propose(view, record, current, time_us=time_us, drafts=drafts))


def check_place(view: View, record: Record) -> None:
    """Raise CorruptLog when the author's own words about the chain deny that this is the place."""
    author = record.author
    if view.trust.chain_id and author.chain_id != view.trust.chain_id:
        raise CorruptLog(f"commit {record.sequencer.index} belongs to another chain")
    if author.seen_seq > view.head:
        # What the author had seen is signed, the number of a commit is not.
        raise CorruptLog(
            f"the author of commit {record.sequencer.index} has seen rows up to {author.seen_seq}, "
            f"the chain holds {view.head} before it: commits were dropped or swapped"
        )


def _check_kinds(record: Record, current: Sequence[int]) -> None:
    """Raise ProtocolError when an object would take the place of a system row."""
    if max(current) < SYSTEM:
        return
    for at, flagged in enumerate(current):
        if flagged & SYSTEM and record.row(at).kind < SYSTEM_FIRST:
            raise ProtocolError(f"{record.row(at).id.hex()} is the id of a system row")


def _check_bases(record: Record, current: Sequence[int]) -> None:
    """Raise Conflict unless every object's row replaces the version that is there.

    The way back through an object's history follows `base`: it must lead to the version before, and
    never ahead, in a circle, or to another object.
    """
    bases = record.bases
    if not any(bases) and not any(current):
        return
    for at, (flagged, kind, base) in enumerate(zip(current, record.kinds, bases)):
        if kind < SYSTEM_FIRST and base != flagged & SEQ_MASK:
            raise Conflict(
                f"object {record.row(at).id.hex()} is at {flagged & SEQ_MASK}, not at {base}",
                object=record.row(at).id,
                theirs=flagged & SEQ_MASK,
            )
