"""Proof files from arbitrary bytes: only the true ones are believed, all else is a typed error."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ate
from ate.chain.evidence import MAGIC
from ate.testing.stage import Stage

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.binary(max_size=40),
    st.binary(min_size=32, max_size=32), st.text(max_size=5), st.just([]),
)  # fmt: skip


@cache
def proof() -> bytes:
    async def make() -> bytes:
        stage = Stage(suite=2)
        (alice,) = await stage.cast("alice")
        note = await stage.as_(alice).store("one")
        async with stage.open(alice) as chain:
            return (await chain.prove(note, value=True, continues=1)).encode()

    return asyncio.run(make())


def refused(raw: bytes) -> None:
    with pytest.raises(ate.AteError):
        ate.check_proof(raw)


@given(st.data())
def test_changed_bytes(data: st.DataObject) -> None:
    raw = bytearray(proof())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    if bytes(raw) != proof():
        refused(bytes(raw))


@given(st.data())
def test_spliced_bytes(data: st.DataObject) -> None:
    raw = proof()
    places = st.integers(0, len(raw))
    spliced = (
        raw[: data.draw(places)] + data.draw(st.binary(max_size=50)) + raw[data.draw(places) :]
    )
    if spliced != raw:
        refused(spliced)


@given(st.data())
def test_another_element_somewhere(data: st.DataObject) -> None:
    """It is well-formed MessagePack, of nearly the right shape."""
    tree: Any = msgspec.msgpack.decode(proof()[len(MAGIC) :])
    node = tree
    while True:
        at = data.draw(st.integers(0, len(node) - 1))
        if not (isinstance(node[at], list) and node[at] and data.draw(st.booleans())):
            break
        node = node[at]
    action = data.draw(st.sampled_from(["replace", "drop", "repeat"]))
    if action == "replace":
        node[at] = data.draw(LEAVES)
    elif action == "drop":
        del node[at]
    else:
        node.insert(at, node[at])
    raw = MAGIC + msgspec.msgpack.encode(tree)
    try:
        found = ate.check_proof(raw)
    except ate.AteError:
        return
    # What was left out may be something that nothing else stood on; the rest is as true as before.
    true = ate.check_proof(proof())
    assert len(raw) <= len(proof())
    assert (found.chain_id, found.root, found.signer) == (true.chain_id, true.root, true.signer)
    assert found.proven == true.proven
    assert set(found.continued) <= set(true.continued)
