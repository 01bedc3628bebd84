"""Statements of a server, evidence, acknowledgements and a client's memory from arbitrary bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.errors import AteError
from ate.mesh import acknowledged, evidence, witness
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.tree import continuation
from ate.mesh.witness import Witness
from ate.testing.spokesman import CHAIN, Spokesman, Story
from ate.trust import attest
from ate.trust.attest import HeadStatement

SERVER, OURS = Spokesman(), Story(("common", 3), ("ours", 6))
SAID, LATER = SERVER.say(Story(("common", 3), ("theirs", 2))).encode(), SERVER.say(OURS).encode()


def remember(raw: bytes) -> bytes:
    return Witness.decode(raw, CHAIN, SERVER.key).encode()


def judged(raw: bytes) -> bytes:
    found = evidence.decode(raw)
    evidence.judge(found)
    return evidence.encode(found)


def kept(raw: bytes) -> bytes:
    found = Acknowledged.decode(raw)
    found.check()
    return found.encode()


def heard(raw: bytes) -> bytes:
    found = HeadStatement.decode(raw)
    found.verify()
    return found.encode()


def memory() -> bytes:
    made = Witness(CHAIN, SERVER.key)
    made.hear(LATER)
    return made.encode()


READERS: dict[str, tuple[Callable[[bytes], bytes], bytes, bytes]] = {
    "statement": (heard, attest.MAGIC, LATER),
    "evidence": (
        judged,
        evidence.MAGIC,
        evidence.encode(evidence.Rewritten(SAID, LATER, continuation(OURS, 5, 9))),
    ),
    "acknowledgement": (
        kept,
        acknowledged.MAGIC,
        Acknowledged.of(OURS.commits[2], HeadStatement.decode(LATER), OURS).encode(),
    ),
    "memory": (remember, witness.MAGIC, memory()),
}
TREES = st.recursive(
    st.one_of(st.integers(-1, 1 << 63), st.binary(max_size=40), st.sampled_from([SAID, LATER])),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)


def read(name: str, raw: bytes) -> None:
    reader, _, _ = READERS[name]
    try:
        assert reader(raw) == raw
    except AteError:
        pass


@pytest.mark.parametrize("name", READERS)
def test_what_is_whole_is_read(name: str) -> None:
    reader, _, whole = READERS[name]
    assert reader(whole) == whole


@pytest.mark.parametrize("name", READERS)
@given(raw=st.binary(max_size=200))
def test_bytes(name: str, raw: bytes) -> None:
    read(name, raw)
    read(name, READERS[name][1] + raw)


@pytest.mark.parametrize("name", READERS)
@given(tree=TREES)
def test_trees(name: str, tree: Any) -> None:
    try:
        raw = msgspec.msgpack.encode(tree)
    except OverflowError:
        return
    read(name, READERS[name][1] + raw)


@pytest.mark.parametrize("name", READERS)
@given(at=st.integers(0, 1 << 14), cut=st.integers(0, 40), new=st.binary(max_size=40))
def test_something_else_in_the_middle(name: str, at: int, cut: int, new: bytes) -> None:
    whole = READERS[name][2]
    at %= len(whole)
    read(name, whole[:at] + new + whole[at + cut :])
