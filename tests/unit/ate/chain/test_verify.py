from __future__ import annotations

from datetime import timedelta

import pytest

import ate
from ate.chain.verify import verify
from ate.event.commit import Record
from ate.log.memory import MemoryLog
from ate.testing.office import Office, draft
from ate.testing.stage import member
from ate.testing.tamper import relinked, spliced


def copied(payloads: list[bytes]) -> MemoryLog:
    log = MemoryLog()
    for payload in payloads:
        log.append([payload])
    return log


async def filled(count: int = 5) -> tuple[ate.Chain, list[bytes]]:
    """Return an open, signed chain and its commits."""
    chain = await ate.open("v", memory=True, session=member("alice"))
    for number in range(count):
        async with chain.dio() as dio:
            dio.store({"number": number, "text": "word " * 20})
    return chain, [bytes(one) for _, one in chain._ledger.store.scan(0)]


async def test_a_sound_chain_says_what_was_checked_and_by_whom_it_was_signed() -> None:
    chain, payloads = await filled()
    seen: list[int] = []
    found = await verify(chain._ledger.store, witness=chain._ledger, progress=seen.append)
    assert found.ok
    assert found.problems == []
    assert (found.commits, found.head, found.root) == (6, chain.head, chain.root)
    assert found.rows == chain.head
    assert found.sealed_rows == 5
    assert found.body_bytes > 5 * 100
    assert found.signatures == {1: 1, 2: 5}
    key = member("alice").public.key_id.hex()[:8]
    assert found.signers == {f"alice ({key})": 6}
    assert found.notes == ["agrees with what this session has seen before"]
    assert seen == [len(one) for one in payloads]
    assert len(found.checks) == 6
    await chain.close()


async def test_an_unsigned_chain_has_no_signers() -> None:
    async with ate.open("v", memory=True) as chain:
        found = await verify(chain._ledger.store)
        assert found.ok
        assert found.signatures == {0: 1}
        assert found.signers == {}
        assert found.sealed_rows == 0


@pytest.mark.parametrize("kept", [[0, 1, 3, 4], [0, 2, 1, 3, 4], [0, 1, 1, 2], [1, 2, 3]])
@pytest.mark.parametrize("relink", [False, True])
async def test_dropped_swapped_and_repeated_commits_are_found(
    kept: list[int], relink: bool
) -> None:
    chain, payloads = await filled()
    some = [payloads[at] for at in kept]
    found = await verify(copied(relinked(some) if relink else some), witness=chain._ledger)
    assert not found.ok
    assert found.problems[0].startswith("after row")
    await chain.close()


async def test_a_cut_chain_is_found_by_who_has_seen_more() -> None:
    chain, payloads = await filled()
    assert (await verify(copied(payloads[:4]))).ok, "a prefix is a chain"
    found = await verify(copied(payloads[:4]), witness=chain._ledger)
    assert found.problems == [f"the log ends at row {found.head}, it had {chain.head} before"]
    await chain.close()


async def test_another_history_of_the_same_length_is_found() -> None:
    chain, _ = await filled(2)
    other, _ = await filled(2)
    found = await verify(other._ledger.store, witness=chain._ledger)
    assert len(found.problems) == 1
    assert "not the one seen before" in found.problems[0]
    await chain.close()
    await other.close()


async def test_a_flipped_bit_anywhere_in_a_commit_is_found() -> None:
    chain, payloads = await filled(2)
    target = payloads[2]
    row = Record(memoryview(target)).row(0)
    for at in range(0, row.place + row.length, 5):
        flipped = spliced(target, at, bytes([target[at] ^ 1 << at % 8]))
        found = await verify(copied([*payloads[:2], flipped]), witness=chain._ledger)
        assert not found.ok, at
    await chain.close()


@pytest.mark.parametrize("name", [None, "alice"])
async def test_a_compacted_chain_says_so_and_agrees_with_who_has_seen_it(name: str | None) -> None:
    session = member(name) if name else None
    async with ate.open("v", memory=True, session=session) as chain:
        dio = chain.dio()
        one = dio.store({"n": 0})
        await dio.commit()
        for number in range(3):
            one.value = {"n": number}
            await dio.commit()
        dio.delete(one.id)
        await dio.commit()
        await chain.compact(ate.Retention(tombstones=timedelta()))
        found = await verify(chain._ledger.store, witness=chain._ledger)
        assert found.ok, found.problems
        assert found.notes[0] == "agrees with what this session has seen before"
        vouched = "a root's checkpoint vouches" if name else "nobody vouches"
        assert found.notes[1].endswith(f"{vouched} for the rest")
        assert (found.head, found.root) == (chain.head, chain.root)


async def test_it_says_what_is_the_word_of_a_server_only() -> None:
    alice, bob = member("alice"), member("bob")
    made = await Office.of(alice, bob)
    for who in (alice, bob, bob):
        await made.take(await made.made(who, draft()), over=who)
    found = await verify(copied(made.frames))
    assert found.ok
    assert (found.ordered, found.signatures) == (3, {1: 1, 0: 3})
    assert sorted(found.signers.values()) == [2, 2]
    assert any("3 of the commits are by those authors" in one for one in found.notes)
    raw = bytearray(made.frames[1])
    at = raw.index(made.key.public.key_id)
    raw[at + 20] ^= 1
    told = await verify(copied([made.frames[0], bytes(raw), *made.frames[2:]]))
    assert "not a signature" in told.problems[0]
