from __future__ import annotations

from collections.abc import Sequence

import pytest

from ate.errors import CannotOpen, NoReadKey
from ate.event.access import Access, Only
from ate.testing.stage import Stage
from ate.trust.confidentiality import Buffer, Confidentiality

CHAIN, SALT, DOMAIN, KEY = b"c" * 32, b"s" * 32, b"d" * 16, b"k" * 32
HOW = Confidentiality()


async def test_bodies_open_with_the_key_row_and_index_they_were_sealed_with() -> None:
    sealer = HOW.sealer(CHAIN, SALT, DOMAIN, 1, KEY)
    sealed = await HOW.seal(sealer, [b"one", b"two"], [b"row 3", b"row 4"], 3)
    assert await HOW.open(sealer, sealed, [b"row 3", b"row 4"], 3) == [b"one", b"two"]
    assert await HOW.open_one(sealer, sealed[1], b"row 4", 4) == b"two"


@pytest.mark.parametrize(
    "where, aad, index",
    [
        ((b"x" * 32, SALT, DOMAIN, 1, KEY), b"row", 3),
        ((CHAIN, b"x" * 32, DOMAIN, 1, KEY), b"row", 3),
        ((CHAIN, SALT, b"x" * 16, 1, KEY), b"row", 3),
        ((CHAIN, SALT, DOMAIN, 2, KEY), b"row", 3),
        ((CHAIN, SALT, DOMAIN, 1, b"x" * 32), b"row", 3),
        ((CHAIN, SALT, DOMAIN, 1, KEY), b"another row", 3),
        ((CHAIN, SALT, DOMAIN, 1, KEY), b"row", 4),
    ],
    ids=["chain", "salt", "domain", "epoch", "key", "row", "index"],
)
async def test_nothing_opens_elsewhere(
    where: tuple[bytes, bytes, bytes, int, bytes], aad: bytes, index: int
) -> None:
    """Neither in another chain, commit, domain, epoch or row, nor at another index."""
    (sealed,) = await HOW.seal(HOW.sealer(CHAIN, SALT, DOMAIN, 1, KEY), [b"secret"], [b"row"], 3)
    other = HOW.sealer(*where)
    with pytest.raises(CannotOpen):
        await HOW.open_one(other, sealed, aad, index)
    with pytest.raises(CannotOpen):
        await HOW.open(other, [sealed], [aad], index)


async def test_one_flipped_bit_is_detected() -> None:
    sealer = HOW.sealer(CHAIN, SALT, DOMAIN, 1, KEY)
    (sealed,) = await HOW.seal(sealer, [b"secret"], [b"row"], 0)
    for at in range(len(sealed)):
        flipped = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(CannotOpen):
            await HOW.open_one(sealer, flipped, b"row", 0)


async def test_without_a_key_bodies_are_opaque() -> None:
    """Neither the file nor a second session without the key shows what was stored."""
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(alice).store("the treasure is under the oak")
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(note)
    assert await stage.as_(bob).texts() == []
    assert await stage.as_(None).texts() == []
    assert not any(b"under the oak" in data for data in stage.disk.snapshot().values())


class Reversed:
    """A toy cipher that takes the place of the built-in one."""

    name = "confidentiality"

    def sealer(self, *_: object) -> str:
        return "toy"

    async def seal(
        self, sealer: str, plains: Sequence[Buffer], aads: Sequence[Buffer], first: int
    ) -> list[bytes]:
        return [bytes(plain)[::-1] for plain in plains]

    async def open_one(self, sealer: str, sealed: Buffer, aad: Buffer, index: int) -> bytes:
        return bytes(sealed)[::-1]

    async def open(
        self, sealer: str, sealed: Sequence[Buffer], aads: Sequence[Buffer], first: int
    ) -> list[bytes]:
        return [bytes(one)[::-1] for one in sealed]


async def test_the_sealing_stage_is_replaceable() -> None:
    stage = Stage(plugins=[Reversed()])
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(read=Only(alice.public, bob.public))
    note = await stage.as_(alice).store("treasure", access=rule)
    assert await stage.as_(bob).load(note) == "treasure"
    assert any(b"erusaert" in data for data in stage.disk.snapshot().values())
