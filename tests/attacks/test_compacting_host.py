"""Compacting host: has the log and no keys, and lies under the name of compaction.

It makes every frame, number, link and hash right again that needs no key; what is found out is
found out by the checkpoint at the cut and by what the authors signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from ate.chain.present import CHECKPOINT_ID
from ate.chain.retention import Retention
from ate.chain.verify import verify
from ate.crypto.hash import digest_many
from ate.errors import Deleted, Refused, StorageError, UsageError
from ate.event.commit import (
    AUTHOR_BYTES,
    SEQUENCER_BYTES,
    Record,
    SequencerPart,
    link_after,
)
from ate.event.prefix import Prefix, decode_nodes, decode_prefix, encode_nodes, is_commit
from ate.event.row import Kind
from ate.event.thinned import decode_record
from ate.ids import ROOT, ObjectId
from ate.log.local import LocalLog
from ate.multiproof import Part, levels_of, merged
from ate.session import Session
from ate.testing.forger import Forger, Line
from ate.testing.stage import Note, Stage, member, role_draft
from ate.testing.tamper import Tamperer, ordered
from ate.testing.thinning import Kept, encode_thinned, fewer_siblings, rows_siblings

#: Which rows of which commits stay: commit index → indexes in it.
Plan = dict[int, list[int]]


@dataclass
class Host:
    """A host's own compaction of a log that was never compacted: it may keep what it likes.

    Args:
        payloads: of all commits.
        cut: commits from this one on stay whole.
    """

    payloads: list[bytes]
    cut: int
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [Record(memoryview(one)) for one in self.payloads]

    def honest(self) -> Plan:
        """Return what stays when nothing is left out: the newest row of each object."""
        newest: dict[bytes, tuple[int, int]] = {}
        plan: Plan = {}
        for index, record in enumerate(self.records[: self.cut]):
            for at in range(record.row_count):
                row = record.row(at)
                newest[row.id] = (index, at)
                if row.kind in (Kind.GENESIS, Kind.KEY, Kind.ROLE, Kind.CERTIFICATE):
                    plan.setdefault(index, []).append(at)
        for index, at in newest.values():
            plan.setdefault(index, []).append(at)
        return {index: sorted(set(some)) for index, some in plan.items()}

    def where(self, one: bytes) -> list[tuple[int, int]]:
        """Return (commit, index) of each version of an object below the cut."""
        return [
            (index, at)
            for index, record in enumerate(self.records[: self.cut])
            for at in range(record.row_count)
            if record.row(at).id == one
        ]

    def origins(self) -> list[tuple[int, int, int, int]]:
        table: dict[tuple[int, int], tuple[int, int]] = {}
        for record in self.records[: self.cut]:
            author = record.author
            table[author.device, author.session] = (author.lsn, record.first_seq)
        return sorted((*key, *value) for key, value in table.items())

    def prefix(self) -> Prefix:
        before, link = self.records[self.cut - 1], bytes(32)
        for record in self.records[: self.cut]:
            link = link_after(link, record.leaf)
        return Prefix(self.cut, before.last_seq, before.sequencer.time_us, link, self.origins())

    def nodes(self, plan: Plan) -> bytes:
        """Return the subtrees that stand for the commits left out."""
        found, at = b"", 0
        for index in [*sorted(plan), self.cut]:
            parts = [Part(n, 0, self.records[n].leaf) for n in range(at, index)]
            found += b"".join(part.hash for part in merged(parts))
            assert len(list(levels_of(at, index))) == len(merged(parts))
            at = index + 1
        return found

    def thinned(self, index: int, some: Sequence[int]) -> bytes:
        record = self.records[index]
        if len(some) == record.row_count:
            return self.payloads[index]
        kept = [Kept(bytes(record.head(at)), at, record.inline(record.row(at))) for at in some]
        hashes = b"".join(digest_many(record.signed_rows()))
        return encode_thinned(record, kept, rows_siblings(hashes, list(some)))

    def log(self, plan: Plan, prefix: Prefix | None = None) -> list[bytes]:
        """Return the frames of the compacted log."""
        nodes = self.nodes(plan)
        return [
            (prefix or self.prefix()).encode(),
            *(encode_nodes(nodes) if nodes else ()),
            *(self.thinned(index, plan[index]) for index in sorted(plan)),
            *self.payloads[self.cut :],
        ]


@dataclass
class Play:
    """A chain with a past, a checkpoint, and a host that kept a copy of all of it."""

    stage: Stage
    alice: Session
    bob: Session
    kept: ObjectId
    changed: ObjectId
    deleted: ObjectId
    host: Host


def mutate(tamperer: Tamperer, frames: Sequence[bytes]) -> None:
    tamperer.write(frames)
    if tamperer.has("index"):
        tamperer.remove("index")


async def played(*, seal: bool = True, suite: int = 2) -> Play:
    """Alice founds, bob is of the staff; things are stored, changed, deleted; a root seals it."""
    stage = Stage(suite=suite)
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [alice.public, bob.public])
        dio = chain.dio()
        kept, changed, deleted, *_ = (
            dio.store(Note(text)).id for text in ("kept", "old", "deleted", "more", "most")
        )
        await dio.commit()
        dio = chain.dio()
        (await dio.load(Note, changed)).value = Note("middle")
        await dio.commit()
        dio = chain.dio()
        (await dio.load(Note, changed)).value = Note("new")
        dio.delete(deleted)
        await dio.commit()
        await chain.set_role("Staff", [alice.public])
        if seal:
            await chain.checkpoint()
        dio = chain.dio()
        dio.store(Note("behind the cut"))
        await dio.commit()
    payloads = stage.tamperer().payloads()
    cut = len(payloads) - 2
    return Play(stage, alice, bob, kept, changed, deleted, Host(payloads, cut))


async def found_out(play: Play, frames: Sequence[bytes], *why: str) -> None:
    """Check that a full opening and `verify` refuse these frames, and give nothing to anybody."""
    mutate(play.stage.tamperer(), frames)
    for who in (play.alice, play.bob, None):
        with pytest.raises(StorageError) as caught:
            await play.stage.as_(who).open(readonly=True)
        if why:
            assert any(word in str(caught.value) for word in why), caught.value
        with pytest.raises(StorageError):
            await play.stage.as_(who).open()
    result = await play.stage.verify()
    assert not result.ok
    assert result.problems


async def test_an_honest_host_may_compact_without_keys() -> None:
    """The ground for all that follows: the host's own tools make a log that is taken."""
    for suite in (1, 2):
        play = await played(suite=suite)
        mutate(play.stage.tamperer(), play.host.log(play.host.honest()))
        assert (await play.stage.verify()).ok
        assert await play.stage.as_(play.alice).load(play.changed) == "new"
        with pytest.raises(Deleted):
            await play.stage.as_(play.alice).load(play.deleted)
        await play.stage.as_(play.alice).store("and on")
        assert (await play.stage.verify()).ok


async def refused_or_harmless(play: Play) -> None:
    """Check that a log which opens says the whole truth about the present."""
    stage = play.stage
    result = await stage.verify()
    try:
        async with stage.open(play.alice, readonly=True) as chain:
            assert result.ok
            dio = chain.dio()
            assert (await dio.load(Note, play.kept)).value == Note("kept")
            assert (await dio.load(Note, play.changed)).value == Note("new")
            assert not await dio.exists(play.deleted)
            assert chain._ledger.view.trust.roles["Staff"].generation == 2
    except StorageError:
        assert not result.ok


# --- what is left out, and what is put back ------------------------------------------------------


def without(plan: Plan, index: int, at: int) -> Plan:
    left = {n: [one for one in some if (n, one) != (index, at)] for n, some in plan.items()}
    return {n: some for n, some in left.items() if some}


def with_(plan: Plan, index: int, at: int) -> Plan:
    return {**plan, index: sorted({*plan.get(index, []), at})}


async def test_an_older_version_instead_of_the_newest() -> None:
    play = await played()
    host = play.host
    *older, newest = host.where(play.changed)
    for version in older:
        plan = with_(without(host.honest(), *newest), *version)
        await found_out(play, host.log(plan), "left out or put back")


async def test_an_object_left_out() -> None:
    play = await played()
    (place,) = play.host.where(play.kept)
    await found_out(play, play.host.log(without(play.host.honest(), *place)), "left out")


async def test_a_deleted_object_put_back() -> None:
    play = await played()
    host = play.host
    stored, tombstone = host.where(play.deleted)
    plan = with_(without(host.honest(), *tombstone), *stored)
    await found_out(play, host.log(plan), "left out or put back")


async def test_every_system_row_left_out() -> None:
    """Keys, roles, grants, the genesis; certificates by what cannot be proved without them."""
    play = await played()
    host = play.host
    plan = host.honest()
    dropped = []
    for index, some in plan.items():
        for at in some:
            row = host.records[index].row(at)
            if row.kind <= Kind.TOMBSTONE:
                continue
            frames = host.log(without(plan, index, at))
            dropped.append(row.kind)
            is_newest = (index, at) == host.where(row.id)[-1]
            if is_newest and row.kind != Kind.CERTIFICATE:
                await found_out(play, frames)
            else:  # what was signed with it may still need it, and what comes behind the cut
                mutate(play.stage.tamperer(), frames)
                await refused_or_harmless(play)
    assert {Kind.GENESIS, Kind.ROLE, Kind.CERTIFICATE} <= set(dropped)
    assert {Kind.KEY, Kind.GRANT} & set(dropped)


async def test_a_role_taken_back_to_the_members_it_had() -> None:
    play = await played()
    host = play.host
    staff = role_draft("Staff", 1, []).id
    *older, newest = host.where(staff)
    assert older
    await found_out(play, host.log(without(host.honest(), *newest)))


async def test_one_row_in_the_place_of_another() -> None:
    play = await played()
    host = play.host
    index, at = host.where(play.kept)[0]
    other = next(n for n in range(host.records[index].row_count) if n != at)
    record = host.records[index]
    rows = [Kept(bytes(record.head(other)), at, record.inline(record.row(other)))]
    siblings = rows_siblings(b"".join(digest_many(record.signed_rows())), [at])
    frames = host.log(host.honest())
    spot = next(n for n, one in enumerate(frames) if index_of(one) == index)
    frames[spot] = encode_thinned(record, rows, siblings)
    await found_out(play, frames, "altered")


def index_of(payload: bytes) -> int:
    return int.from_bytes(payload[208:216], "little") if is_commit(payload) else -1


async def test_another_body() -> None:
    play = await played()
    host = play.host
    frames = host.log(host.honest())
    index, _ = host.where(play.kept)[0]
    spot = next(n for n, one in enumerate(frames) if index_of(one) == index)
    record = decode_record(memoryview(frames[spot]))
    assert record.is_thinned
    place = record.row(0).place
    changed = bytearray(frames[spot])
    changed[place] ^= 1
    frames[spot] = bytes(changed)
    await found_out(play, frames, "altered")


async def test_a_whole_commit_left_out_or_moved() -> None:
    play = await played()
    host = play.host
    plan = host.honest()
    for index in sorted(plan):
        await found_out(play, host.log({n: some for n, some in plan.items() if n != index}))
    frames = host.log(plan)
    spots = [n for n, one in enumerate(frames) if is_commit(one)]
    for first, second in pairwise(spots):
        swapped = list(frames)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        await found_out(play, swapped)
        await found_out(play, [*frames[: second + 1], frames[second], *frames[second + 1 :]])


# --- the prefix ----------------------------------------------------------------------------------

LIES: list[Callable[[Prefix], Prefix]] = [
    lambda told: replaced(told, cut=told.cut + 1),
    lambda told: replaced(told, cut=told.cut - 1),
    lambda told: replaced(told, cut=1),
    lambda told: replaced(told, cut=1 << 40),
    lambda told: replaced(told, cut=(1 << 63) - 1),
    lambda told: replaced(told, head=told.head + 1),
    lambda told: replaced(told, head=told.head - 1),
    lambda told: replaced(told, head=1 << 60),
    lambda told: replaced(told, time_us=1 << 62),
    lambda told: replaced(told, time_us=0),
    lambda told: replaced(told, link=bytes(32)),
    lambda told: replaced(told, origins=[]),
    lambda told: replaced(told, origins=told.origins[:-1]),
    lambda told: replaced(told, origins=[(d, s, max(n - 1, 1), q) for d, s, n, q in told.origins]),
    lambda told: replaced(told, origins=[(d, s, n, 1) for d, s, n, q in told.origins]),
    lambda told: replaced(told, origins=[*told.origins, (1, 1, 1, 1)]),
    lambda told: replaced(told, origins=[(1 << 64, 1, 1, 1)]),
    lambda told: replaced(told, origins=[(1, 1, 1 << 70, 1)]),
]

#: Those that do not fit into the bytes there are.
UNWRITABLE = {16, 17}


def replaced(told: Prefix, **fields: Any) -> Prefix:
    known = {name: getattr(told, name) for name in told.__struct_fields__}
    return Prefix(**{**known, **fields})


@pytest.mark.parametrize("number", range(len(LIES)))
async def test_a_prefix_that_lies(number: int) -> None:
    play = await played()
    host = play.host
    told = LIES[number](host.prefix())
    if number in UNWRITABLE:
        with pytest.raises(OverflowError):
            host.log(host.honest(), told)
        return
    await found_out(play, host.log(host.honest(), told))


async def test_a_gap_in_the_rows_behind_the_cut() -> None:
    """Numbers of rows are no author's word; but the checkpoint says which row came before it."""
    play = await played()
    host = play.host
    told = host.prefix()
    link, head = told.link, told.head + 5
    tail = []
    for index, payload in enumerate(host.payloads[host.cut :], host.cut):
        record = Record(memoryview(payload))
        part = SequencerPart(head + 1, record.sequencer.time_us, index, link)
        raw = payload[:AUTHOR_BYTES] + part.encode() + payload[AUTHOR_BYTES + SEQUENCER_BYTES :]
        record = Record(memoryview(raw))
        link, head = link_after(link, record.leaf), record.last_seq
        tail.append(raw)
    frames = host.log(host.honest(), replaced(told, head=told.head + 5))
    await found_out(play, [*frames[: -len(tail)], *tail], "does not end where")


async def test_nodes_too_many_too_few_and_made_up() -> None:
    play = await played()
    host = play.host
    frames = host.log(host.honest())
    spot = next(n for n, one in enumerate(frames) if one[0] == 0x83)
    nodes = decode_nodes(memoryview(frames[spot]))
    for wrong in (nodes[32:], nodes[:-32], nodes + bytes(32), bytes(len(nodes)), nodes * 1000):
        again = list(frames)
        again[spot : spot + 1] = encode_nodes(wrong)
        await found_out(play, again)
    for odd in (b"\x83" + bytes(7), frames[spot] + b"x"):
        await found_out(play, [*frames[:spot], odd, *frames[spot + 1 :]])
    await found_out(play, [*frames[:spot], *frames[spot + 1 :]])
    await found_out(play, [*frames[1:]], "")
    await found_out(play, [frames[0], *frames])
    await found_out(play, [*frames, frames[0]])
    await found_out(play, [*frames, frames[spot]])


async def test_siblings_too_many_and_too_few() -> None:
    play = await played()
    host = play.host
    frames = host.log(host.honest())
    for spot, payload in enumerate(frames):
        if payload[0] != 0x81:
            continue
        record = decode_record(memoryview(payload))
        index = record.sequencer.index
        source = host.records[index]
        kept = [
            Kept(bytes(source.head(at)), at, source.inline(source.row(at))) for at in record.indexes
        ]
        siblings = bytes(record.siblings)  # type: ignore[attr-defined]
        for wrong in (siblings[32:], siblings[:-32], siblings + bytes(32), b""):
            if wrong != siblings:
                forged = encode_thinned(source, kept, wrong)
                await found_out(play, [*frames[:spot], forged, *frames[spot + 1 :]])


# --- checkpoints ---------------------------------------------------------------------------------


async def test_a_cut_without_a_checkpoint_or_at_another_commit() -> None:
    play = await played()
    for cut in range(1, len(play.host.payloads)):
        if cut != play.host.cut:
            host = Host(play.host.payloads, cut)
            await found_out(play, host.log(host.honest()))
    host = Host(play.host.payloads, len(play.host.payloads))
    await found_out(play, host.log(host.honest()), "missing")
    host = play.host
    await found_out(play, host.log(host.honest())[:-2], "missing")


async def test_a_cut_at_an_older_checkpoint_with_the_present_of_a_newer_one() -> None:
    play = await played()
    stage = play.stage
    await stage.as_(play.alice).change(play.kept, "newer")
    async with stage.open(play.alice) as chain:
        await chain.checkpoint()
    payloads = stage.tamperer().payloads()
    newer, older = Host(payloads, len(payloads) - 1), Host(payloads, play.host.cut)
    mutate(stage.tamperer(), older.log(older.honest()))
    assert (await stage.verify()).ok, "an older checkpoint is as good, with what came behind it"
    # The older one's word for a log that goes further, and the newer one's for less.
    await found_out(play, newer.log(older.honest()))
    await found_out(play, [*older.log(older.honest())[: -len(payloads) + older.cut], payloads[-1]])
    plan = {n: some for n, some in newer.honest().items() if n < older.cut}
    await found_out(play, older.log(plan))


async def test_the_checkpoint_of_another_chain() -> None:
    play = await played()
    other = await played()
    host = play.host
    foreign = other.host.payloads[host.cut]
    assert any(kind == Kind.CHECKPOINT for kind in Record(memoryview(foreign)).kinds)
    plan = without(host.honest(), *host.where(play.kept)[0])
    frames = host.log(plan)
    await found_out(play, [*frames[:-2], foreign, frames[-1]])


async def test_a_checkpoint_by_somebody_who_is_no_root() -> None:
    """A member's key signs well; but it is not a root's."""
    play = await played(seal=False)
    stage, payloads = play.stage, play.host.payloads
    from ate.chain.checkpoint import checkpoint_row

    async with stage.open(play.alice) as chain:
        draft = checkpoint_row(chain._ledger, play.alice)
    for who in (play.bob, member("stranger")):
        mutate(stage.tamperer(), payloads)
        forger: Forger = await stage.forger(who)
        line = Line(bytes(CHECKPOINT_ID), kind=Kind.CHECKPOINT, body=draft.body)
        view = (await stage.ledger()).view
        part = SequencerPart(view.head + 1, view.time_us, view.frontier.size, view.link)
        forged = ordered(forger.commit(line), part)
        host = Host([*payloads, forged], len(payloads))
        await found_out(play, host.log(host.honest()))


async def test_roots_planted_by_nobody() -> None:
    """Below the cut no write rule is judged; but who names roots must be one."""
    play = await played()
    stage = play.stage
    mallory = member("mallory")
    forger: Forger = await stage.forger(mallory)
    draft = role_draft("root", 2, [mallory.public])
    line = Line(bytes(draft.id), kind=Kind.ROLE, body=draft.body)
    forger.key, forger.suite, forger.seen_seq = mallory.own, 1, 0
    payloads = play.host.payloads[: play.host.cut]
    last = Record(memoryview(payloads[-1]))
    link = Host(play.host.payloads, play.host.cut).prefix().link
    part = SequencerPart(last.last_seq + 1, last.sequencer.time_us, len(payloads), link)
    host = Host([*payloads, ordered(forger.commit(line), part), *play.host.payloads[-2:]],
                len(payloads) + 1)  # fmt: skip
    await found_out(play, host.log(host.honest()))


async def test_roots_named_by_a_member_below_the_cut() -> None:
    """Bob's key is published, so his signature verifies: he is no root all the same."""
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [alice.public, bob.public])
        dio = chain.dio()
        kept = dio.store(Note("kept")).id
        await dio.commit()
    forger: Forger = await stage.forger(bob.own)
    draft = role_draft("root", 2, [bob.public])
    view = (await stage.ledger()).view
    line = Line(bytes(draft.id), kind=Kind.ROLE, body=draft.body)
    part = SequencerPart(view.head + 1, view.time_us, view.frontier.size, view.link)
    forged = ordered(forger.commit(line), part)
    payloads = [*stage.tamperer().payloads(), forged]
    host = Host(payloads, len(payloads))
    play = Play(stage, alice, bob, kept, kept, kept, host)
    await found_out(play, host.log(host.honest()), "names new roots")


# --- policies ------------------------------------------------------------------------------------


async def test_a_write_once_chain_is_not_taken_compacted() -> None:
    stage = Stage(policy={"worm": True})
    alice, bob = await stage.cast("alice", "bob")
    one = await stage.as_(alice).store("one")
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        with pytest.raises(Refused, match="write-once"):
            await chain.compact()
    payloads = stage.tamperer().payloads()
    host = Host(payloads, len(payloads) - 1)
    play = Play(stage, alice, bob, one, one, one, host)
    await found_out(play, host.log(host.honest()), "write-once")


@pytest.mark.parametrize("session", [False, True])
async def test_compaction_without_a_root_needs_a_root_s_checkpoint(session: bool) -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    one = await stage.as_(alice).store("one")
    await stage.as_(alice).change(one, "two")
    who = bob if session else None
    async with stage.open(who) as chain:
        with pytest.raises(UsageError, match="vouches"):
            await chain.compact()
    async with stage.open(alice) as chain:
        await chain.checkpoint()
    await stage.as_(alice).change(one, "three")
    async with stage.open(who) as chain:
        head, root = chain.head, chain.root
        done = await chain.compact(Retention(tombstones=timedelta(0)))
        assert done.rows_after < done.rows_before
        assert (chain.head, chain.root) == (head, root), "it needs nobody's word and adds none"
    assert (await stage.verify()).ok
    assert await stage.as_(alice).load(one) == "three"
    async with stage.open(who) as chain:
        await chain.compact()
    assert await stage.as_(alice).load(one) == "three"


async def test_a_compacted_log_rewritten() -> None:
    """The same attacks on what the product's own compaction left, frame by frame."""
    play = await played()
    stage = play.stage
    async with stage.open(play.alice) as chain:
        await chain.compact()
    tamperer = Tamperer(stage.disk, stage.directory, "000002")
    frames = tamperer.payloads()
    assert frames[0][0] == 0x82
    commits = [n for n, one in enumerate(frames) if is_commit(one)]
    needed = {play.kept, play.changed, ROOT}

    async def refused(changed: list[bytes]) -> None:
        mutate(tamperer, changed)
        with pytest.raises(StorageError):
            await stage.as_(play.alice).open()
        assert not (await stage.verify()).ok

    for spot in commits[:-1]:
        await refused([*frames[:spot], *frames[spot + 1 :]])
    for spot in commits:
        record = decode_record(memoryview(frames[spot]))
        if not record.is_thinned or record.row_count == 1:
            continue
        hashes = b"".join(digest_many(record.signed_rows()))
        for gone in range(record.row_count):
            keep = [at for at in range(record.row_count) if at != gone]
            indexes = list(record.indexes)
            siblings = fewer_siblings(
                record.author.row_count, indexes, hashes,
                record.siblings, [indexes[at] for at in keep],  # type: ignore[attr-defined]
            )  # fmt: skip
            rows = [
                Kept(bytes(record.head(at)), indexes[at], record.inline(record.row(at)))
                for at in keep
            ]
            changed = [*frames]
            changed[spot] = encode_thinned(record, rows, siblings)
            if record.row(gone).id in needed:
                await refused(changed)
            else:
                mutate(tamperer, changed)
                await refused_or_harmless(play)
    told = decode_prefix(memoryview(frames[0]))
    await refused([replaced(told, origins=told.origins[1:]).encode(), *frames[1:]])
    tamperer.write(frames)
    assert (await stage.verify()).ok


async def test_a_host_that_goes_back_to_an_older_generation() -> None:
    """It can: a backup put back is a shorter log. Whoever saw more notices."""
    play = await played()
    stage = play.stage
    old = stage.backup()
    async with stage.open(play.alice, readonly=True) as reader:
        async with stage.open(play.alice) as chain:
            await chain.compact()
        await reader.refresh()
        head = reader.head
        ledger = reader._ledger
        store = LocalLog.open(stage.directory, disk=old, readonly=True)
        result = await verify(store, witness=ledger)
        store.close()
        assert not result.ok
        assert str(head) in result.problems[0]
