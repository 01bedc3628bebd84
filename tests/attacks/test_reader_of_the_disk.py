"""Reader of the disk: has every file of the chain, at every moment, and no key."""

from __future__ import annotations

import msgspec
import pytest

from ate.crypto.aead import Sealer
from ate.errors import CannotOpen, NoReadKey
from ate.event.access import Access, Any, Everyone, Only
from ate.event.commit import Record
from ate.event.row import Kind
from ate.session import Session
from ate.testing.stage import Stage, member

SECRET = "the combination is 17-4-42"


def all_bytes(stage: Stage) -> bytes:
    return b"\n".join(stage.disk.snapshot().values())


def secrets_of(session: Session) -> list[bytes]:
    pairs = [session.own, *(pair for role in session.roles.values() for pair in role)]
    return [seed for pair in pairs for seed in (pair.sign.seed, pair.seal.seed)]


@pytest.mark.parametrize("suite", [1, 2])
async def test_no_file_holds_a_plaintext_or_a_key(suite: int) -> None:
    stage = Stage(suite=suite)
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(read=Only(alice.public, bob.public))
    shared = await stage.as_(alice).store(SECRET, access=rule)
    await stage.as_(alice).store(SECRET, parent=shared)
    await stage.as_(alice).store_many([SECRET] * 100)
    await stage.as_(alice).store(SECRET * 4000)
    ledger = await stage.ledger(alice)
    domains = ledger.domains(alice)
    epoch_keys = [domains.key(domain, 1) for domain in (bytes(16), bytes(shared))]
    fast = alice.fast(ledger.view.trust.chain_id, stage.clock.now_us()).key.seed
    files = all_bytes(stage)
    assert any("body." in path for path in stage.disk.snapshot())
    for needle in (b"combination", b"17-4-42", b"Note", *secrets_of(alice), *epoch_keys, fast):
        assert needle not in files
        assert needle.hex().encode() not in files


async def test_equal_values_look_different() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store_many([SECRET, SECRET])
    await stage.as_(alice).store(SECRET)
    bodies = [
        bytes(record.inline(record.row(at)))
        for record in [Record(memoryview(one)) for one in stage.tamperer().payloads()]
        for at in range(record.row_count)
        if record.row(at).kind == Kind.DATA
    ]
    assert len(bodies) == len(set(bodies)) == 3


async def test_somebody_without_a_key_gets_nothing_but_a_refusal() -> None:
    stage = Stage()
    alice, eve = await stage.cast("alice", "eve")
    note = await stage.as_(alice).store(SECRET)
    for who in (eve, None):
        with pytest.raises(NoReadKey):
            await stage.as_(who).load(note)
        assert await stage.as_(who).texts() == []


async def test_a_body_opens_under_no_key_but_its_own() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    first = await stage.as_(alice).store(SECRET)
    await stage.as_(alice).store("another")
    ledger = await stage.ledger(alice)
    key = ledger.domains(alice).key(bytes(16), 1)
    chain_id = ledger.view.trust.chain_id
    record, at = ledger.view.find(ledger.view.index.locate(first))
    other, _ = ledger.view.find(ledger.view.head)
    body, head = bytes(record.inline(record.row(at))), bytes(record.head(at))
    how = ledger.pipeline.confidentiality
    right = how.sealer(chain_id, record.author.salt, bytes(16), 1, key)
    nonce = at.to_bytes(12, "little")
    assert SECRET.encode() in right.open(nonce, body, head)
    wrong: list[tuple[Sealer, bytes, bytes]] = [
        (how.sealer(chain_id, other.author.salt, bytes(16), 1, key), nonce, head),
        (how.sealer(bytes(32), record.author.salt, bytes(16), 1, key), nonce, head),
        (how.sealer(chain_id, record.author.salt, bytes(first), 1, key), nonce, head),
        (how.sealer(chain_id, record.author.salt, bytes(16), 2, key), nonce, head),
        (how.sealer(chain_id, record.author.salt, bytes(16), 1, bytes(32)), nonce, head),
        (right, (at + 1).to_bytes(12, "little"), head),
        (right, nonce, bytes([head[0] ^ 1, *head[1:]])),
    ]
    for sealer, number, associated in wrong:
        with pytest.raises(CannotOpen):
            sealer.open(number, body, associated)


async def test_what_is_visible_is_what_the_threat_model_lists() -> None:
    """The price: shape, sizes, rules, names of keys. It is claimed, so it is shown."""
    stage = Stage("accounts")
    alice, bob = await stage.cast("alice@example.org", "bob@example.org")
    rule = Access(read=Only(bob.public), write=Any(alice.public))
    top = await stage.as_(alice).store("x" * 50, access=rule)
    ledger = await stage.ledger()
    stored = ledger.view.stored(top)
    assert stored is not None
    assert (stored.row.parent, stored.row.length) == (
        bytes(16),
        50 + 16 + len(b"\xa4Note\x81\xa4text\xd9\x32"),
    )
    assert stored.access == Access(read=Only(bob.public.key_id), write=Any(alice.public.key_id))
    assert ledger.view.trust.keys[bob.public.key_id].identity == "bob@example.org"
    assert b"accounts" in all_bytes(stage)


async def test_what_everyone_may_read_is_in_the_clear() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("welcome", access=Access(read=Everyone))
    assert b"welcome" in all_bytes(stage)
    assert await stage.as_(None).load(note) == "welcome"


async def test_the_snapshot_tells_nothing_that_the_log_does_not() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store(SECRET)
    raw = stage.disk.snapshot()[stage.tamperer().path("index")]
    size = int.from_bytes(raw[64 + 12 : 64 + 16], "little")
    header = msgspec.msgpack.decode(raw[64 + 48 : 64 + 48 + size])
    assert SECRET not in repr(header)
    assert all(seed not in raw for seed in secrets_of(alice))


async def test_a_member_is_the_same_in_every_run() -> None:
    assert member("alice").public == member("alice").public != member("bob").public
