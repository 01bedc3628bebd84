"""Merkle trees against the recursive definitions of RFC 9162 and of the rows' tree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from ate import errors, merkle
from ate.errors import ProtocolError, TrustError, UsageError
from ate.merkle import Frontier

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "crypto" / "merkle.json").read_text())
SIZES = [*range(1, 36), 63, 64, 65]


def h(*parts: bytes) -> bytes:
    return blake3(b"".join(parts)).digest()


def leaves_of(size: int) -> list[bytes]:
    return [h(b"\0", at.to_bytes(4, "little")) for at in range(size)]


def cut(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def naive_root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else h()
    k = cut(len(leaves))
    return h(b"\1", naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = cut(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(old: int, leaves: list[bytes], known: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if known else [naive_root(leaves)]
    k = cut(len(leaves))
    if old <= k:
        return [*naive_subproof(old, leaves[:k], known), naive_root(leaves[k:])]
    return [*naive_subproof(old - k, leaves[k:], False), naive_root(leaves[:k])]


def naive_rows(hashes: list[bytes]) -> bytes:
    if len(hashes) <= 16:
        return h(b"\x10", *hashes)
    return naive_rows([h(b"\x10", *hashes[at : at + 16]) for at in range(0, len(hashes), 16)])


# --- vectors ---------------------------------------------------------------------------------


def raws(texts: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in texts)


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda one: str(one["size"]))
def test_vectors_hold_and_agree_with_the_definitions(vector: dict[str, Any]) -> None:
    size = vector["size"]
    leaves = leaves_of(size)
    root, rows_root = bytes.fromhex(vector["root"]), bytes.fromhex(vector["rows_root"])
    assert merkle.root(leaves) == root == naive_root(leaves)
    assert merkle.rows_root(leaves) == rows_root == naive_rows(leaves)
    if len(leaves) == 1:
        assert merkle.root_of_one_row(leaves[0]) == rows_root
    frontier = Frontier.decode(bytes.fromhex(vector["frontier"]))
    assert frontier == Frontier.of(leaves)
    assert frontier.root() == root
    if size:
        index, old = vector["index"], vector["old"]
        inclusion, consistency = raws(vector["inclusion"]), raws(vector["consistency"])
        assert merkle.inclusion_proof(leaves, index) == inclusion
        assert merkle.consistency_proof(leaves, old) == consistency
        assert merkle.rows_proof(leaves, index) == raws(vector["rows"])
        merkle.verify_inclusion(leaves[index], index, size, inclusion, root)
        merkle.verify_consistency(old, naive_root(leaves[:old]), size, consistency, root)
        merkle.verify_rows(leaves[index], index, size, raws(vector["rows"]), rows_root)


CALLS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "inclusion": (merkle.verify_inclusion, ("leaf", "index", "size", "proof", "root")),
    "consistency": (merkle.verify_consistency, ("old", "old_root", "size", "proof", "root")),
    "rows": (merkle.verify_rows, ("leaf", "index", "size", "proof", "root")),
    "frontier": (lambda raw: void(Frontier.decode(raw)), ("frontier",)),
}


def void(_: object) -> None:
    """Forget a result."""


def read(value: Any) -> Any:
    if isinstance(value, str):
        return bytes.fromhex(value)
    return raws(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    "vector", VECTORS["invalid"], ids=lambda one: f"{one['kind']}: {one['case']}"
)
def test_invalid_vectors_fail_as_they_say(vector: dict[str, Any]) -> None:
    call, names = CALLS[vector["kind"]]
    with pytest.raises(errors.codes()[vector["failure"]]):
        call(*(read(vector[name]) for name in names))


# --- the chain's tree ------------------------------------------------------------------------


def test_a_leaf_is_prefixed() -> None:
    assert merkle.leaf_hash(b"data") == h(b"\0data")
    assert merkle.EMPTY_ROOT == merkle.root([]) == merkle.root(b"") == h()


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proven_as_defined(size: int) -> None:
    leaves = leaves_of(size)
    root = merkle.root(leaves)
    assert root == merkle.root(b"".join(leaves)) == naive_root(leaves)
    for index, leaf in enumerate(leaves):
        proof = merkle.inclusion_proof(leaves, index)
        assert list(proof) == naive_path(index, leaves)
        merkle.verify_inclusion(leaf, index, size, proof, root)
        with pytest.raises(TrustError):
            merkle.verify_inclusion(leaf, (index + 1) % (size + 1), size, proof, root)


@pytest.mark.parametrize("size", SIZES[:34])
def test_every_beginning_is_proven_as_defined(size: int) -> None:
    leaves = leaves_of(size)
    root = merkle.root(leaves)
    for old in range(size + 1):
        proof = merkle.consistency_proof(leaves, old)
        assert list(proof) == (naive_subproof(old, leaves, known=True) if old else [])
        old_root = merkle.root(leaves[:old])
        merkle.verify_consistency(old, old_root, size, proof, root)
        with pytest.raises(TrustError):
            merkle.verify_consistency(old, h(old_root), size, proof, root)
        if 0 < old < size:
            with pytest.raises(TrustError):
                merkle.verify_consistency(old, old_root, size, proof, h(root))


def test_proofs_of_what_is_not_there_are_refused() -> None:
    leaves = leaves_of(3)
    for call, at in (
        (merkle.inclusion_proof, 3),
        (merkle.inclusion_proof, -1),
        (merkle.consistency_proof, 4),
        (merkle.consistency_proof, -1),
        (merkle.rows_proof, 3),
        (merkle.rows_proof, -1),
    ):
        with pytest.raises(UsageError):
            call(leaves, at)


@pytest.mark.parametrize("hashes", [[b"short"], [bytes(31), bytes(33)], bytes(33)])
def test_hashes_have_one_length(hashes: Any) -> None:
    with pytest.raises(UsageError):
        merkle.root(hashes)
    with pytest.raises(UsageError):
        merkle.rows_root(hashes)


def test_a_frontier_grows_as_the_tree_does() -> None:
    leaves = leaves_of(70)
    frontier = Frontier()
    assert frontier.root() == merkle.EMPTY_ROOT
    for size, leaf in enumerate(leaves, 1):
        earlier = frontier
        frontier = frontier.append(leaf)
        assert earlier.size == size - 1
        assert frontier.size == size
        assert frontier.root() == naive_root(leaves[:size])
        assert len(frontier.nodes) == size.bit_count()
        proof = frontier.inclusion_of_last()
        assert list(proof) == naive_path(size - 1, leaves[:size])
        merkle.verify_inclusion(leaf, size - 1, size, proof, frontier.root())
        assert Frontier.decode(memoryview(frontier.encode())) == frontier
    assert Frontier.of(leaves) == Frontier.of(leaves[:9]).extend(leaves[9:]) == frontier


def test_an_empty_frontier_has_no_last_leaf() -> None:
    with pytest.raises(UsageError):
        Frontier().inclusion_of_last()
    assert Frontier.decode(Frontier().encode()) == Frontier()


def test_a_frontier_cannot_be_changed() -> None:
    frontier = Frontier.of(leaves_of(3))
    with pytest.raises(AttributeError):
        frontier.size = 4  # type: ignore[misc]


@pytest.mark.parametrize("raw", [b"", bytes(7), bytes(9), b"\xff" * 8, bytes(8) + bytes(32)])
def test_other_bytes_are_no_frontier(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        Frontier.decode(raw)


# --- the rows' tree --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, 300])
def test_every_row_is_proven(count: int) -> None:
    hashes = leaves_of(count)
    root = merkle.rows_root(hashes)
    assert root == merkle.rows_root(memoryview(b"".join(hashes))) == naive_rows(hashes)
    for index, one in enumerate(hashes):
        proof = merkle.rows_proof(hashes, index)
        merkle.verify_rows(one, index, count, proof, root)
        with pytest.raises(TrustError):
            merkle.verify_rows(one, index + 1, count, proof, root)
        with pytest.raises(TrustError):
            merkle.verify_rows(h(one), index, count, proof, root)


def test_a_commit_without_rows_has_a_root() -> None:
    assert merkle.rows_root([]) == merkle.rows_root(b"") == h(b"\x10")
    with pytest.raises(TrustError):
        merkle.verify_rows(bytes(32), 0, 0, (), merkle.rows_root([]))


def test_rows_are_proven_up_to_the_largest_commit() -> None:
    hashes = b"".join(leaves_of(256)) * 256
    root = merkle.rows_root(hashes)
    proof = merkle.rows_proof(hashes, 65_535)
    assert [len(step) for step in proof] == [480] * 4
    merkle.verify_rows(hashes[-32:], 65_535, 65_536, proof, root)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8, 9])
def test_all_levels_at_once(count: int) -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(count)]
    levels = merkle.levels(leaves)
    assert levels[0] == b"".join(leaves)
    if count:
        assert levels[-1] == merkle.root(leaves)
    if count == 2:
        assert merkle.node(*leaves) == levels[-1]
