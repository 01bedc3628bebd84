"""A receipt of a verification is bound to who wrote it, and compared with what there is later."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ate.chain import statement
from ate.chain.ledger import Ledger
from ate.chain.statement import Remembered, Statement
from ate.chain.verify import Verification, verify
from ate.crypto.entropy import system_entropy
from ate.errors import BadSignature, ProtocolError, UnsupportedFormat
from ate.session import Session
from ate.testing.stage import Stage, member


async def play() -> tuple[Stage, Session]:
    stage = Stage()
    alice, _ = await stage.cast("alice", "bob")
    await stage.as_(alice).store("one")
    await stage.as_(alice).store("two")
    return stage, alice


async def check(stage: Stage, then: Statement | None = None) -> tuple[Ledger, Verification, str]:
    ledger = Ledger(stage.log(), clock=stage.clock, entropy=system_entropy)
    memory = Remembered(then, ledger.view) if then else None
    found = await verify(ledger.store, view=ledger.view, visit=memory.visit if memory else None)
    return ledger, found, memory.finish(found) if memory else ""


async def receipt(stage: Stage, who: Session | None) -> bytes:
    ledger, found, _ = await check(stage)
    return statement.encode(statement.fields_of(found, ledger.view, chain="play"), who)


async def test_it_says_what_was_seen() -> None:
    stage, alice = await play()
    async with stage.open(alice) as chain:
        await chain.checkpoint()
        known = (chain.id, chain.root, chain.commits, chain.head)
    told = statement.decode(await receipt(stage, alice))
    assert (told.chain_id, told.root, told.commits, told.head) == known
    assert told.fields["checkpoint"]["size"] == told.commits - 1
    assert told.fields["ok"]
    assert told.fields["chain"] == "play"
    assert told.identity == "alice"
    assert told.known_to([member("bob").public, alice.public]) == alice.public
    assert told.known_to([member("bob").public]) is None


async def test_without_a_session_a_hash_finds_accidents() -> None:
    stage, _ = await play()
    raw = await receipt(stage, None)
    told = statement.decode(raw)
    assert told.signer == b""
    assert told.known_to([member("alice").public]) is None
    with pytest.raises(BadSignature):
        statement.decode(raw.replace(b'"commits": 3', b'"commits": 2'))


async def test_the_layout_of_the_file_does_not_matter() -> None:
    stage, alice = await play()
    raw = await receipt(stage, alice)
    assert statement.decode(json.dumps(json.loads(raw), sort_keys=True).encode()).commits == 3


@pytest.mark.parametrize("who", ["alice", None])
async def test_no_field_can_change(who: str | None) -> None:
    stage, alice = await play()
    document = json.loads(await receipt(stage, alice if who else None))
    for name in document["statement"]:
        if name in ("format", "version"):
            continue
        changed = json.loads(json.dumps(document))
        changed["statement"][name] = 7
        with pytest.raises(BadSignature):
            statement.decode(json.dumps(changed).encode())
    for name in document["seal"]:
        if name in ("identity", "key_id"):
            continue
        changed = json.loads(json.dumps(document))
        changed["seal"][name] = "AAAA"
        with pytest.raises(BadSignature):
            statement.decode(json.dumps(changed).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"7", b"{}", b'{"statement": 1, "seal": 2}', b"\xff",
        b'{"statement": {"format": "other", "version": 1}, "seal": {}}',
        b'{"statement": {"format": "ate verification", "version": "x"}, "seal": {}}',
        b"[" * 100_000, b" " * (statement.BYTES_MAX + 1),
    ],
)  # fmt: skip
def test_other_files_are_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        statement.decode(raw)


@pytest.mark.parametrize(
    "name, value",
    [
        ("root", "zz"), ("root", "00"), ("chain_id", 5), ("commits", -1), ("commits", "x"),
        ("head", None),
    ],
)  # fmt: skip
async def test_numbers_that_cannot_be_are_refused_though_they_are_sealed(
    name: str, value: Any
) -> None:
    stage, alice = await play()
    fields = dict(json.loads(await receipt(stage, alice))["statement"])
    fields[name] = value
    with pytest.raises(BadSignature):
        statement.decode(statement.encode(fields, alice))


async def test_a_newer_version_is_told() -> None:
    stage, alice = await play()
    fields = dict(json.loads(await receipt(stage, alice))["statement"])
    fields["version"] = 2
    with pytest.raises(UnsupportedFormat):
        statement.decode(statement.encode(fields, alice))


async def test_a_chain_that_grew_still_holds_it() -> None:
    stage, alice = await play()
    then = statement.decode(await receipt(stage, alice))
    for _ in range(2):
        _, found, missed = await check(stage, then)
        assert found.ok
        assert missed == ""
        assert found.checks[-1] == "the 3 commits of the receipt, by their root"
        await stage.as_(alice).store("more")


async def test_a_chain_that_was_cut_or_rewritten_does_not() -> None:
    stage, alice = await play()
    before = stage.backup()
    await stage.as_(alice).store("three")
    then = statement.decode(await receipt(stage, alice))
    stage.disk = before
    _, found, _ = await check(stage, then)
    assert found.problems == ["the log holds 3 commits, the receipt saw 4: it was cut"]
    await stage.as_(alice).store("another three")
    _, found, _ = await check(stage, then)
    assert "not those that the receipt saw" in found.problems[0]
    other, _ = await play()
    await other.as_(alice).store("three")
    _, found, _ = await check(other, then)
    assert "about another chain" in found.problems[0]


async def test_where_the_moment_is_gone_that_is_said() -> None:
    """As after compaction, which keeps the root over all commits and not that over the first."""
    stage, alice = await play()
    then = statement.decode(await receipt(stage, alice))
    ledger = await stage.ledger()
    await stage.as_(alice).store("three")
    ledger = await stage.ledger()
    found = Verification()
    assert "compacted" in Remembered(then, ledger.view).finish(found)
    assert found.ok
