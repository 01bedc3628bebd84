"""A name server that sends anything: the right key or a typed error, in time, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.name_server import NameServer, Zone, truncated

from ate.errors import AteError
from ate.mesh.dns import Names
from ate.testing.simclock import SimClock

ALICE = bytes([1] * 16)
ROUNDS = 150


def zones() -> tuple[Zone, Zone]:
    root, example = Zone(".", signed=True, seed=1), Zone("example.com", signed=True, seed=2)
    root.delegate(example)
    example.add("_ate.example.com", "TXT", f'"ate1 root={ALICE.hex()}"')
    return root, example


def spoil(raw: bytes, chance: random.Random) -> bytes:
    """Change some bytes behind the id, cut or extend."""
    spoiled = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        spoiled[chance.randrange(2, len(spoiled))] = chance.choice((0, 1, 0xC0, 0xFF, 0x10))
    if chance.random() < 0.1:
        del spoiled[chance.randrange(2, len(spoiled)) :]
    elif chance.random() < 0.1:
        spoiled += chance.randbytes(chance.randrange(1, 600))
    return bytes(spoiled)


@pytest.mark.parametrize("dnssec", [True, False])
async def test_spoiled_answers(dnssec: bool) -> None:
    root, example = zones()
    chance = random.Random(f"dns {dnssec}")
    outcomes = set()
    async with NameServer(root, example) as server:

        def bend(query: Any, answer: Any, tcp: bool) -> Any:
            # Over TCP a spoiled answer is an error at once; over UDP it is waited past.
            return spoil(answer.to_wire(), chance) if tcp else truncated(query, answer, tcp)

        server.bend = bend
        names = Names(
            [server.address],
            timeout_s=2,
            dnssec=dnssec,
            anchors={".": [root.ds()]},
            clock=SimClock(),
        )
        for _ in range(ROUNDS):
            try:
                found = await names.roots("example.com", "x")
            except AteError as error:
                outcomes.add(type(error).__name__)
                continue
            outcomes.add("found")
            if dnssec:
                assert found == {ALICE}
            else:
                assert all(len(key) == 16 for key in found)
    assert len(outcomes) > 1
