from __future__ import annotations

from typing import Any as Anything

import pytest

import ate
from ate.chain.genesis import Founding, check_chain, check_genesis, write_genesis
from ate.chain.ledger import Ledger
from ate.crypto.entropy import SeededEntropy
from ate.errors import CorruptLog, UntrustedRoot, UsageError
from ate.event.access import Access, Everyone
from ate.event.commit import Origin
from ate.log.memory import MemoryLog
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.stage import member


def empty(session: Session | None = None) -> Ledger:
    entropy = SeededEntropy(b"genesis")
    return Ledger(MemoryLog(), session=session, clock=SimClock(), entropy=entropy)


def device(session: Session | None) -> int:
    return session.device if session else 1


async def founded(session: Session | None = None, **changed: Anything) -> Ledger:
    ledger = empty(session)
    given: dict[str, Anything] = {"roots": (session.public,) if session else (), **changed}
    await write_genesis(ledger, "universe", Founding(**given), Origin(device(session), 2, 1, 0))
    return ledger


async def test_the_first_commit_says_what_the_chain_is() -> None:
    alice = member("alice")
    ledger = await founded(alice, suite=1, mode="centralized", policy={"worm": True})
    genesis = ledger.view.trust.genesis
    assert genesis is not None
    assert (genesis.name, genesis.suite, genesis.mode) == ("universe", 1, "centralized")
    assert genesis.policy == {"worm": True}
    assert [one.principal for one in genesis.roots] == [alice.public]
    assert ledger.view.trust.root_keys() == {alice.public.key_id}
    assert len(ledger.view.trust.chain_id) == 32
    assert ledger.view.root_access() == Access()
    assert ledger.view.origins.last(alice.device, 2) == 1


async def test_without_roots_nothing_is_signed() -> None:
    ledger = await founded(suite=1, access=Access(read=Everyone))
    assert ledger.view.trust.genesis is not None
    assert ledger.view.trust.suite == 0
    assert not ledger.view.trust.has_roots
    assert ledger.view.root_access() == Access(read=Everyone)


async def test_equal_chains_have_different_ids() -> None:
    async with ate.open("a", memory=True) as one, ate.open("a", memory=True) as other:
        assert one.id != other.id


@pytest.mark.parametrize("wrong", [{"mode": "typo"}, {"suite": 0}, {"suite": 3}])
async def test_unknown_modes_and_suites_are_refused(wrong: dict[str, Anything]) -> None:
    with pytest.raises(UsageError, match="mode is one of"):
        await founded(member("alice"), **wrong)


async def test_a_chain_is_founded_by_one_of_its_roots() -> None:
    alice, bob = member("alice"), member("bob")
    for session in (bob, None):
        with pytest.raises(UsageError, match="one of its roots") as caught:
            await founded(session, roots=(alice.public,))
        assert "session=" in caught.value.hint
    ledger = await founded(bob, roots=(alice.public, bob.public))
    assert ledger.view.trust.root_keys() == {alice.public.key_id, bob.public.key_id}


async def test_the_chain_that_was_meant() -> None:
    alice, bob = member("alice"), member("bob")
    ledger = await founded(alice)
    check_chain(ledger, "universe", ())
    check_chain(ledger, "universe", (alice.public, bob.public))
    with pytest.raises(UntrustedRoot, match="'universe', not 'other'"):
        check_chain(ledger, "other", ())
    with pytest.raises(UntrustedRoot, match="pinned"):
        check_chain(ledger, "universe", (bob.public,))
    with pytest.raises(UntrustedRoot, match="genesis"):
        check_chain(empty(), "universe", ())


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "centralized", "policy": {"sequencers": [b"short"]}},
        {"mode": "centralized", "policy": {"sequencers": 7}},
        {"mode": "distributed", "policy": {"sequencers": [bytes(32)]}},
        {"mode": "centralized", "policy": {"sequencers": [bytes(32)]}, "roots": ()},
    ],
)
async def test_sequencers_that_make_no_sense(changed: dict[str, Anything]) -> None:
    with pytest.raises(UsageError, match="sequencers"):
        await founded(member("alice"), **changed)


async def test_whether_a_chain_is_write_once_is_yes_or_no() -> None:
    with pytest.raises(UsageError, match="write-once is true or false, not 'yes'"):
        await founded(policy={"worm": "yes"})


async def test_a_first_commit_founds_the_chain_that_was_asked_for() -> None:
    async with ate.open("universe", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store("x")
        first, second = chain._ledger.view.find(1)[0], chain._ledger.view.find(2)[0]
        assert check_genesis(first, "universe").name == "universe"
        with pytest.raises(UntrustedRoot, match="founds 'universe', not 'other'"):
            check_genesis(first, "other")
        with pytest.raises(UntrustedRoot, match="founds no chain"):
            check_genesis(second, "universe")


async def test_the_founding_commit_is_the_one_that_the_chain_is_known_by() -> None:
    """What the view remembers of the first commit may come from a snapshot."""
    alice = member("alice")
    ledger = await founded(alice)
    ledger.view.trust.chain_id = bytes(32)
    with pytest.raises(CorruptLog, match="not the one that was here before"):
        check_chain(ledger, "universe", (alice.public,))
