from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from ate import limits
from ate.chain.ledger import Ledger
from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import digest
from ate.errors import LimitExceeded, NoReadKey, TrustError, UsageError
from ate.event.access import Access, Any, Everyone, Only
from ate.event.commit import SIGN_CONTEXT, Commit, Origin
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import FLAG_ACCESS, FLAG_HEADER, FLAG_OVERWRITE, Kind, unpack
from ate.ids import ROOT, ObjectId
from ate.session import Session
from ate.testing.stage import Note, Stage, member
from ate.trust.compression import Zstd

NEXT = Origin(9, 9, 1, 0)


def draft(body: bytes = b"body", **fields: object) -> Draft:
    known = Draft(int(Kind.DATA), ObjectId.random(), bytes(ROOT), 0, 0, 0, 7, 1, body)
    return msgspec.structs.replace(known, **fields)


async def prepared(
    stage: Stage, who: Session | None, drafts: Sequence[Draft], *, now_us: int = 0
) -> tuple[Commit, list[Draft], Ledger]:
    ledger = await stage.ledger(who)
    commit, rows = await ledger.preparer(who).prepare(
        drafts, origin=NEXT, seen_seq=ledger.view.head, now_us=now_us or stage.clock.now_us()
    )
    return commit, rows, ledger


def kinds(rows: Sequence[Draft]) -> list[Kind]:
    return [Kind(row.kind) for row in rows]


@pytest.mark.parametrize("suite", [1, 2])
async def test_a_commit_is_sealed_hashed_and_signed(suite: int) -> None:
    stage = Stage(suite=suite)
    (alice,) = await stage.cast("alice")
    commit, rows, ledger = await prepared(stage, alice, [draft(b"secret")])
    assert commit.author.suite == suite
    assert commit.author.origin == NEXT
    assert commit.author.seen_seq == ledger.view.head
    assert commit.root == digest(commit.author_bytes)
    assert b"secret" not in b"".join(commit.bodies)
    row = unpack(bytes(commit.heads[-1]) + bytes(16), 0)
    assert (row.kind, row.id, row.schema, row.epoch) == (Kind.DATA, rows[-1].id, 7, 1)
    assert row.body_hash == digest(commit.bodies[-1])
    if suite == 1:
        alice.own.sign.public.verify(commit.signature, commit.root, SIGN_CONTEXT)
    else:
        fast = alice.fast(ledger.view.trust.chain_id, stage.clock.now_us())
        fast.key.public.verify(commit.signature, commit.root, SIGN_CONTEXT)


async def test_equal_contents_give_different_commits() -> None:
    """The salt is fresh in each: neither sealed bytes nor roots tell that two bodies are equal."""
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    one = draft(b"same")
    first, _, _ = await prepared(stage, alice, [one])
    second, _, _ = await prepared(stage, alice, [one])
    assert first.bodies != second.bodies
    assert first.root != second.root


async def test_an_author_introduces_itself_once() -> None:
    stage = Stage(access=Access(Everyone, Everyone))
    _, bob = await stage.cast("alice", "bob")
    _, rows, _ = await prepared(stage, bob, [draft()])
    assert kinds(rows) == [Kind.KEY, Kind.CERTIFICATE, Kind.DATA]
    await stage.as_(bob).store("note")
    _, rows, _ = await prepared(stage, bob, [draft()])
    assert kinds(rows) == [Kind.DATA]


@pytest.mark.parametrize("suite", [1, 2])
async def test_an_author_who_names_itself_in_its_first_commit_is_published_once(suite: int) -> None:
    """Twice the same row in one commit would be a log that nobody can open."""
    stage = Stage(suite=suite, access=Access(Everyone, Everyone))
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(Only(bob.public), Any(bob.public))
    note = await stage.as_(bob).store("mine", access=rule)
    assert await stage.as_(bob).load(note) == "mine"
    with pytest.raises(NoReadKey):
        await stage.as_(alice).load(note)


async def test_after_a_refused_commit_the_author_is_still_introduced() -> None:
    stage = Stage(access=Access(Everyone))
    alice, bob = await stage.cast("alice", "bob")
    board = await stage.as_(alice).store("board", access=Access(write=Everyone))
    async with stage.open(bob) as chain:
        dio = chain.dio()
        dio.store(Note("not here"))
        with pytest.raises(TrustError):
            await dio.commit()
        dio.cancel()
        dio.store(Note("here"), parent=board)
        await dio.commit()
    assert await stage.as_(bob).texts() == ["board", "here"]


async def test_new_rules_bring_keys_and_grants() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(Only(alice.public, bob.public), Any(bob.public))
    commit, rows, _ = await prepared(stage, alice, [draft(header=Header(rule))])
    assert kinds(rows)[-3:] == [Kind.KEY, Kind.GRANT, Kind.DATA]
    grant, data = (unpack(bytes(head) + bytes(16), 0) for head in commit.heads[-2:])
    assert data.domain == rows[-1].id == grant.parent
    assert data.flags == FLAG_HEADER | FLAG_ACCESS
    assert commit.headers[len(rows) - 1].access == rule


async def test_children_share_the_domain_above_them() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    secret = draft(header=Header(Access(Only(alice.public))))
    inside = [draft(parent=secret.id), draft(parent=secret.id)]
    below = draft(parent=inside[0].id)
    public = draft(b"public", header=Header(Access(Everyone)))
    outside = draft()
    drafts = [secret, *inside, below, public, outside, draft(kind=int(Kind.TOMBSTONE), body=b"")]
    commit, rows, _ = await prepared(stage, alice, drafts)
    found = {
        row.id: (row.domain, row.epoch)
        for row in (unpack(bytes(head) + bytes(16), 0) for head in commit.heads)
    }
    for one in (secret, *inside, below):
        assert found[one.id] == (secret.id, 1)
    assert found[outside.id] == (ROOT, 1)
    assert found[public.id] == (public.id, 0)
    assert found[drafts[-1].id] == (ROOT, 0)
    assert commit.bodies[rows.index(rows[-3])] == b"public"


async def test_a_new_version_repeats_the_rule_of_its_object() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(Only(alice.public), Any(bob.public))
    note = await stage.as_(alice).store("note", access=rule)
    plain = await stage.as_(alice).store("plain")
    ledger = await stage.ledger(alice)
    stored, other = ledger.view.stored(note), ledger.view.stored(plain)
    assert stored is not None
    assert other is not None
    newer = draft(id=bytes(note), base=stored.seq, created=stored.seq, header=Header(author="a"))
    _, rows, _ = await prepared(stage, alice, [newer, draft(id=bytes(plain), base=other.seq)])
    assert rows[-2].header == Header(rule, "a")
    assert rows[-1].header is None


async def test_last_writer_wins_is_said_in_the_row() -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    commit, _, _ = await prepared(stage, alice, [draft(overwrite=True)])
    assert unpack(bytes(commit.heads[0]) + bytes(16), 0).flags == FLAG_OVERWRITE


async def test_what_the_session_cannot_seal_it_cannot_write() -> None:
    stage = Stage(access=Access(write=Everyone))
    _, bob = await stage.cast("alice", "bob")
    with pytest.raises(NoReadKey):
        await prepared(stage, bob, [draft()])


async def test_a_signed_chain_wants_a_session_that_is_live() -> None:
    stage = Stage(access=Access(Everyone, Everyone))
    alice, _ = await stage.cast("alice", "bob")
    with pytest.raises(UsageError, match="needs a session"):
        await prepared(stage, None, [draft()])
    alice.expires_us = 5
    with pytest.raises(TrustError, match="expired"):
        await prepared(stage, alice, [draft()], now_us=6)


async def test_a_chain_without_roots_is_neither_sealed_nor_signed() -> None:
    stage = Stage()
    await stage.as_(None).store("note")
    commit, rows, _ = await prepared(stage, None, [draft(b"plain")])
    assert (commit.signature, commit.author.suite, commit.author.key_id) == (b"", 0, bytes(16))
    assert list(commit.bodies) == [b"plain"]
    assert kinds(rows) == [Kind.DATA]


# --- acting as somebody, in suite 1 -----------------------------------------------------------


async def test_suite_1_signs_with_the_key_that_the_rule_wants() -> None:
    stage = Stage(suite=1, access=Access(Everyone))
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [bob.public])
    board = await stage.as_(alice).store("board", access=Access(write=Any("Staff")))
    note = await stage.as_(bob).store("note", parent=board)
    async with stage.open(bob) as chain:
        dao = await chain.dio().load(Note, note)
        assert dao.author == "Staff"
        role = chain._ledger.view.trust.role_keys("Staff")
    commit, _, _ = await prepared(stage, bob, [draft(parent=bytes(board))])
    assert {commit.author.key_id} == role
    commit, _, _ = await prepared(stage, bob, [draft()])
    assert commit.author.key_id == bob.public.key_id


async def test_suite_1_changes_roles_as_a_root_whatever_the_chain_s_rule_wants() -> None:
    stage = Stage(suite=1, access=Access(Everyone))
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        await chain.set_role("Staff", [alice.public])
        await chain.set_access(Access(Everyone, Any("Staff")))
        change = await chain.set_role("Staff", [alice.public])
        assert change.generation == 2
    await stage.as_(alice).store("as staff")


# --- plug-ins ---------------------------------------------------------------------------------


class Stamp:
    """An enricher that says who wrote a row."""

    name = "stamp"

    def enrich(self, draft: Draft, session: Session | None) -> Draft:
        known = draft.header or Header()
        author = session.identity if session else "nobody"
        return msgspec.structs.replace(draft, header=replace(known, author=author))


async def test_enrichers_add_header_fields() -> None:
    stage = Stage(plugins=[Stamp()])
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("note")
    async with stage.open(alice) as chain:
        header = (await chain.dio().load(Note, note)).header
    assert header is not None
    assert header.author == "alice"


async def test_filters_see_data_only_and_run_before_sealing() -> None:
    stage = Stage(plugins=[Zstd(least_bytes=1)])
    (alice,) = await stage.cast("alice")
    rule = Header(Access(Only(alice.public)))
    drafts = [draft(b"a" * 2000, header=rule), draft(b"ab")]
    commit, rows, _ = await prepared(stage, alice, drafts)
    sizes = {row.id: len(body) for row, body in zip(rows, commit.bodies, strict=True)}
    assert sizes[drafts[0].id] < 100
    assert sizes[drafts[1].id] == 2 + 16
    assert sizes[rows[-3].id] == len(rows[-3].body)


# --- bounds -----------------------------------------------------------------------------------


async def test_bodies_and_commits_have_a_bound() -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    large = bytes(limits.BODY_BYTES_MAX - 15)
    with pytest.raises(LimitExceeded, match="body bytes"):
        await prepared(stage, alice, [draft(large)])
    with pytest.raises(LimitExceeded, match="commit bytes") as refused:
        await prepared(stage, alice, [draft(large[:-1]) for _ in range(5)])
    assert "smaller portions" in refused.value.hint


async def test_a_commit_has_at_most_65_536_rows() -> None:
    stage = Stage(suite=1)
    (alice,) = await stage.cast("alice")
    draw = SeededEntropy(1)
    many = [draft(b"", id=draw(16)) for _ in range(limits.COMMIT_ROWS_MAX + 1)]
    with pytest.raises(LimitExceeded, match="rows in a commit"):
        await prepared(stage, alice, many)


async def test_the_first_commit_is_signed_by_a_root_in_the_composite_suite() -> None:
    stage = Stage(suite=2)
    (alice,) = await stage.cast("alice")
    record, _ = (await stage.ledger()).view.find(1)
    assert record.author.suite == 1
    assert record.author.key_id == alice.public.key_id
    assert list(record.kinds) == [Kind.GENESIS, Kind.GRANT]
    assert member("alice").public == alice.public
