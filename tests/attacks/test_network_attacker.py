"""Network attacker: carries the files from alice's machine to bob's, and tampers as it likes."""

from __future__ import annotations

import pytest

from ate.errors import CorruptLog, StorageError, UntrustedRoot
from ate.event.access import Access, Everyone, Only
from ate.session import Session
from ate.testing.stage import Stage
from ate.testing.tamper import copy_of, relinked


async def sent() -> tuple[Stage, Stage, Session, Session]:
    """Return alice's chain, the copy of it that is on its way, and both ends."""
    home = Stage()
    alice, bob = await home.cast("alice", "bob")
    rule = Access(read=Only(alice.public, bob.public))
    folder = await home.as_(alice).store("for bob", access=rule)
    for number in range(5):
        await home.as_(alice).store(f"page {number}", parent=folder)
    away = Stage()
    away.disk = copy_of(home.disk)
    away.tamperer().remove("index")
    return home, away, alice, bob


async def test_the_copy_arrives() -> None:
    _, away, _, bob = await sent()
    assert len(await away.as_(bob).texts()) == 6


async def test_nothing_can_be_read_on_the_way() -> None:
    _, away, _, _ = await sent()
    assert b"page" not in b"".join(away.disk.snapshot().values())


async def test_a_commit_delivered_twice() -> None:
    _, away, _, bob = await sent()
    tamperer = away.tamperer()
    payloads = tamperer.payloads()
    for number in range(len(payloads)):
        tamperer.write(relinked([*payloads, payloads[number]]))
        with pytest.raises(CorruptLog):
            await away.as_(bob).open(readonly=True)


async def test_every_byte_on_the_way() -> None:
    """One bit of every 61st byte: an error at once, or a shorter log and a note about it."""
    home, away, _, bob = await sent()
    whole = home.tamperer().payloads()
    path = away.tamperer().path("head.000001")
    good = away.disk.snapshot()[path]
    for at in range(0, len(good), 61):
        bad = bytearray(good)
        bad[at] ^= 64
        away.disk.put(path, bytes(bad))
        try:
            async with away.open(bob, readonly=True) as chain:
                assert chain.commits < len(whole)
                assert chain._ledger.store.torn
        except StorageError:
            pass


async def test_an_older_state_is_unmasked_by_a_receipt() -> None:
    """What the carrier can do, and what tells: bob knows a root that the copy does not lead to."""
    home, away, alice, bob = await sent()
    async with home.open(alice) as chain:
        known, size = chain.root, chain.commits
    tamperer = away.tamperer()
    tamperer.write(tamperer.payloads()[:-2])
    async with away.open(bob, readonly=True) as chain:
        assert chain.commits < size
        assert chain.root != known


async def test_a_whole_other_chain_under_the_same_name() -> None:
    home, away, alice, bob = await sent()
    forged = Stage()
    (mallory,) = await forged.cast("mallory")
    await forged.as_(mallory).store("trust me", access=Access(read=Everyone))
    away.disk = copy_of(forged.disk)
    with pytest.raises(UntrustedRoot, match="pinned"):
        await away.as_(bob).open(roots=[alice.public], readonly=True)
    assert await home.as_(bob).open(roots=[alice.public], readonly=True)
