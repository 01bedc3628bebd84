"""A proof holds as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any as AnyType

import pytest
from msgspec.structs import replace

from ate import Access, Any, Everyone, limits
from ate.chain.checker import check, check_order, check_proof
from ate.chain.checkpoint import checkpoint_row
from ate.chain.evidence import Evidence, ShownCommit, ShownRow
from ate.chain.prover import opened, prove, version
from ate.errors import AteError, BadSignature, TrustError, UntrustedRoot
from ate.testing.office import Office, draft, sequencer
from ate.testing.stage import Note, Stage, member

Change = Callable[[Evidence], Evidence]


async def made(
    suite: int = 2, *, value: bool = True, texts: tuple[str, ...] = ("one", "two", "three")
) -> Evidence:
    """Return a proof of bob's change on a chain whose roots were changed before."""
    stage = Stage(suite=suite)
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("root", [alice.public, bob.public])
        async with chain.dio() as dio:
            access = Access(read=Everyone, write=Any(bob.public))
            desk = dio.store(Note("desk"), access=access).id
    for text in texts:
        await stage.as_(bob).change(desk, text)
    async with stage.open(alice) as chain:
        return await chain.prove(desk, value=value, continues=3)


def with_commit(evidence: Evidence, at: int, **changes: AnyType) -> Evidence:
    commits = list(evidence.commits)
    commits[at] = replace(commits[at], **changes)
    return replace(evidence, commits=tuple(commits))


def with_row(evidence: Evidence, commit: int, at: int, /, **changes: AnyType) -> Evidence:
    rows = list(evidence.commits[commit].rows)
    rows[at] = replace(rows[at], **changes)
    return with_commit(evidence, commit, rows=tuple(rows))


def subject(evidence: Evidence) -> tuple[ShownCommit, ShownRow]:
    commit = evidence.commits[-1]
    return commit, commit.rows[-1]


@pytest.mark.parametrize("suite", [1, 2])
async def test_no_bit_can_differ(suite: int) -> None:
    raw = (await made(suite)).encode()
    check_proof(raw)
    places = {*range(0, len(raw), 7), *range(300), *range(len(raw) - 300, len(raw))}
    for at in sorted(places):
        wrong = bytearray(raw)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(AteError):
            check_proof(bytes(wrong))


async def test_no_part_can_be_left_out_or_added() -> None:
    evidence = await made()
    first, last = evidence.commits[0], evidence.commits[-1]
    genesis = first.rows[0]
    changes: list[Change] = [
        lambda one: replace(one, commits=()),
        lambda one: replace(one, commits=one.commits[1:]),
        lambda one: replace(one, commits=one.commits[:1]),
        lambda one: replace(one, commits=one.commits[:-1]),
        lambda one: replace(one, commits=one.commits[:1] + one.commits[2:]),
        lambda one: replace(one, commits=one.commits[:1] + one.commits),
        lambda one: replace(one, commits=(*one.commits, last)),
        lambda one: replace(one, commits=one.commits[::-1]),
        lambda one: replace(one, seq=0),
        lambda one: replace(one, seq=one.seq + 1),
        lambda one: replace(one, key=bytes(32)),
        lambda one: replace(one, key=b"k"),
        lambda one: replace(one, continued=one.continued * 2),
        lambda one: with_commit(one, 0, rows=()),
        lambda one: with_commit(one, 0, rows=(genesis, genesis)),
        lambda one: with_commit(one, 0, signature=b""),
        lambda one: with_commit(one, 0, author=b""),
        lambda one: with_commit(one, -1, signature=b""),
        lambda one: with_commit(one, -1, author=last.author[:-1]),
        lambda one: with_commit(one, -1, time_us=limits.TIME_US_MAX + 1),
        lambda one: with_commit(one, -1, time_us=1),
        lambda one: with_commit(one, -1, path=last.path[:-1]),
        lambda one: with_row(one, 0, 0, body=None),
        lambda one: with_row(one, 0, 0, body=b""),
        lambda one: with_row(one, 0, 0, at=1),
        lambda one: with_row(one, -1, -1, body=b"other"),
        lambda one: with_row(one, -1, -1, signed=b""),
        lambda one: with_row(one, -1, -1, path=()),
    ]
    for number, change in enumerate(changes):
        with pytest.raises(AteError):
            check(change(evidence))
            pytest.fail(f"change {number} was believed")


async def test_the_checkpoint_decides() -> None:
    evidence = await made()
    sealed = evidence.checkpoint
    for change in (
        {"size": sealed.size + 1}, {"size": 1}, {"root": bytes(32)}, {"key_id": bytes(16)},
        {"time_us": sealed.time_us + 1}, {"time_us": limits.TIME_US_MAX + 1}, {"signature": b""},
    ):  # fmt: skip
        with pytest.raises(AteError):
            check(replace(evidence, checkpoint=replace(sealed, **change)))


async def test_a_signature_that_proves_nothing_is_not_carried() -> None:
    evidence = await made()
    silent = [at for at, one in enumerate(evidence.commits) if not one.signature]
    assert silent, "a commit that only publishes a key shows none"
    for at in silent:
        with pytest.raises(AteError, match="proves nothing"):
            check(with_commit(evidence, at, signature=bytes(64)))


async def test_a_proof_of_a_chain_alone() -> None:
    evidence = await made()
    start = evidence.commits[:1]
    rotation = tuple(one for one in evidence.commits[1:] if one.signature and one.index < 2)
    alone = replace(evidence, commits=start + rotation, seq=0)
    found = check(alone)
    assert found.proven is None
    assert found.size == evidence.checkpoint.size
    with pytest.raises(AteError, match="opens nothing"):
        check(replace(alone, key=bytes(32)))


async def test_roots_that_are_known() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(alice).store("one")
    async with stage.open(alice) as chain:
        raw = (await chain.prove(note)).encode()
    assert not check_proof(raw).is_pinned
    assert check_proof(raw, roots=[bob.public, alice.public]).is_pinned
    with pytest.raises(UntrustedRoot, match="alice"):
        check_proof(raw, roots=[bob.public])


async def test_two_proofs_of_one_history() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("one")
    async with stage.open(alice) as chain:
        old = await chain.prove(note)
        assert (await chain.prove(note)).encode() == old.encode(), "no checkpoint for nothing"
    await stage.as_(alice).change(note, "two")
    async with stage.open(alice) as chain:
        unrelated = await chain.prove(note)
        new = await chain.prove(note, continues=old)
    check_proof(new, earlier=[old, new, old.encode()])
    with pytest.raises(UntrustedRoot, match="continues the older"):
        check_proof(unrelated, earlier=[old])
    other = Stage()
    await other.cast("alice")
    async with other.open(alice) as chain:
        await chain.checkpoint()
        elsewhere = await chain.prove()
    with pytest.raises(TrustError, match="two chains"):
        check_order(check(elsewhere), check(new))


async def test_a_value_packed_by_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    from ate.trust.compression import Zstd

    stage = Stage(plugins=[Zstd()])
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("a" * 5000)
    async with stage.open(alice) as chain:
        found = check_proof(await chain.prove(note, value=True)).proven
    assert found is not None
    assert found.row.codec == 17
    assert found.plain()[0] == 1
    assert b"a" * 5000 in found.plain()[1]
    from dataclasses import replace as changed

    with pytest.raises(AteError, match="not known"):
        changed(found, row=found.row._replace(codec=32)).plain()


async def test_a_commit_that_a_server_has_signed() -> None:
    alice, bob = member("alice"), member("bob")
    desk = await Office.of(alice, bob)
    one = draft(b"one")
    await desk.take(await desk.made(bob, one), over=bob)
    sealing = checkpoint_row(await desk.copy(alice), alice)
    await desk.take(await desk.made(alice, sealing, session=11), over=alice)
    ledger = await desk.copy(bob)
    seq = version(ledger.view, one.id)
    evidence = prove(ledger, seq, shown=opened(ledger, bob, seq))
    found = check_proof(evidence.encode(), roots=[alice.public])
    assert found.proven is not None
    assert (found.proven.authors, found.proven.body) == ((bob.public,), b"one")
    last = len(evidence.commits) - 1
    shown = evidence.commits[last]
    other = sequencer(b"another")
    for signature in (bytes(80), b"", shown.signature[:-1], other.sign(bytes(32)),
                      shown.signature[:16] + other.sign(bytes(32))[16:]):  # fmt: skip
        with pytest.raises(BadSignature):
            check_proof(with_commit(evidence, last, signature=signature))
    moved = with_commit(evidence, last, time_us=shown.time_us + 1)
    with pytest.raises(TrustError):
        check_proof(moved)
