"""Merkle trees over hashes: the RFC 9162 tree of a chain and the 16-ary tree of a commit's rows.

It never stores a tree, and it never knows what a leaf stands for. Both trees use BLAKE3 and bind
what a hash is by its first byte: 0x00 leaf, 0x01 node of two, 0x10 node of up to sixteen rows.
Hashes are given as a sequence of 32-byte strings or as one buffer of n times 32 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from ate.crypto.hash import Buffer, digest, hasher
from ate.errors import ProtocolError, TrustError, UsageError

HASH_BYTES: Final = 32
FAN_OUT: Final = 16
Hashes: TypeAlias = Buffer | Sequence[bytes]

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_ROWS: Final = b"\x10"
_GROUP_BYTES: Final = FAN_OUT * HASH_BYTES
_SIZE_BYTES: Final = 8
#: Root of the tree without leaves, as in RFC 9162: the hash of nothing.
EMPTY_ROOT: Final = digest(b"")


def leaf_hash(data: Buffer) -> bytes:
    """Return the leaf for `data`."""
    return digest(_LEAF + data)


class Frontier(NamedTuple):
    """All that is needed to append to a tree, and to prove its newest leaf: a value, cheap to keep.

    `Frontier()` is the empty tree. At most 2 · 40 hashes, however large the tree.

    Args:
        size: number of leaves.
        nodes: roots of the full subtrees, largest first.
        before: the `nodes` before the last leaf came.
        last: the last leaf.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()
    before: tuple[bytes, ...] = ()
    last: bytes = b""

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> Frontier:
        """Return the frontier of a tree with these leaves."""
        return cls().extend(leaves)

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier with one more leaf; this one stays as it is."""
        nodes, node, keep, carry = self.nodes, leaf, len(self.nodes), self.size
        while carry & 1:
            keep -= 1
            node = digest(_NODE + nodes[keep] + node)
            carry >>= 1
        return Frontier(self.size + 1, (*nodes[:keep], node), nodes, leaf)

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """Return the frontier with more leaves."""
        frontier = self
        for leaf in leaves:
            frontier = frontier.append(leaf)
        return frontier

    def graft(self, level: int, node: bytes) -> Frontier:
        """Return the frontier with a full subtree of 2**level leaves behind the last one.

        Such a tree can grow; it says nothing of its last leaf until the next one comes.
        """
        nodes, keep, carry = self.nodes, len(self.nodes), self.size >> level
        while carry & 1:
            keep -= 1
            node = digest(_NODE + nodes[keep] + node)
            carry >>= 1
        return Frontier(self.size + (1 << level), (*nodes[:keep], node))

    def root(self) -> bytes:
        """Return the root of the tree."""
        if not self.nodes:
            return EMPTY_ROOT
        node = self.nodes[-1]
        for left in self.nodes[-2::-1]:
            node = digest(_NODE + left + node)
        return node

    def inclusion_of_last(self) -> tuple[bytes, ...]:
        """Return the inclusion proof of the newest leaf; raises UsageError if there is none."""
        if not self.size:
            raise UsageError("an empty tree has no last leaf")
        # Every subtree that was full before it hangs to the left of the newest leaf's path.
        return self.before[::-1]

    def encode(self) -> bytes:
        """Return the frontier as bytes: size u64, the nodes before the last leaf, that leaf."""
        return b"".join((self.size.to_bytes(_SIZE_BYTES, "little"), *self.before, self.last))

    @classmethod
    def decode(cls, raw: Buffer) -> Frontier:
        """Read what `encode` returned; raises ProtocolError when the length does not fit."""
        size = int.from_bytes(raw[:_SIZE_BYTES], "little")
        count = (size - 1).bit_count() + 1 if size else 0
        if len(raw) != _SIZE_BYTES + count * HASH_BYTES:
            raise ProtocolError("these bytes are no frontier of a tree")
        hashes = split(raw[_SIZE_BYTES:])
        return cls(size - 1, tuple(hashes[:-1])).append(hashes[-1]) if size else cls()


def root(leaves: Hashes) -> bytes:
    """Return the RFC 9162 root over leaves (made by `leaf_hash`)."""
    level = joined(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > HASH_BYTES:
        level = _parents(level)
    return level


def levels(leaves: Hashes) -> list[bytes]:
    """Return all levels of the RFC 9162 tree, the leaves first and the root last.

    A node without a sibling is in both levels.
    """
    found = [joined(leaves)]
    while len(found[-1]) > HASH_BYTES:
        found.append(_parents(found[-1]))
    return found


def inclusion_proof(leaves: Hashes, index: int) -> tuple[bytes, ...]:
    """Return the hashes that lead from leaf `index` to the root, lowest first.

    Raises:
        UsageError: there is no such leaf.
    """
    level = joined(leaves)
    if not 0 <= index < len(level) // HASH_BYTES:
        raise UsageError(f"a tree of {len(level) // HASH_BYTES} leaves has no leaf {index}")
    proof = []
    while len(level) > HASH_BYTES:
        start = (index ^ 1) * HASH_BYTES
        if start < len(level):
            proof.append(level[start : start + HASH_BYTES])
        level, index = _parents(level), index >> 1
    return tuple(proof)


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return when `proof` shows `leaf` at `index` of the tree with `size` leaves and this root.

    Args:
        size: number of leaves as signed beside the root; the root alone does not bind it.

    Raises:
        TrustError: it does not.
    """
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        raise _unproven()
    steps = _steps(proof)
    node, last = leaf, size - 1
    while last:
        if index & 1:
            node = digest(_NODE + next(steps, b"") + node)
        elif index < last:
            node = digest(_NODE + node + next(steps, b""))
        # A node without a sibling moves up unchanged.
        index, last = index >> 1, last >> 1
    if node != root or next(steps, None) is not None:
        raise _unproven()


def consistency_proof(leaves: Hashes, old: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of the first `old` leaves is a beginning of this tree.

    Raises:
        UsageError: there were never so many leaves.
    """
    level = joined(leaves)
    size = len(level) // HASH_BYTES
    if not 0 <= old <= size:
        raise UsageError(f"a tree of {size} leaves has no beginning of {old}")
    proof: list[bytes] = []
    first, is_whole = 0, True
    if old in (0, size):
        return ()
    while old != size:
        half = _split_of(size)
        cut = (first + half) * HASH_BYTES
        end = (first + size) * HASH_BYTES
        if old <= half:
            proof.append(root(level[cut:end]))
            size = half
        else:
            proof.append(root(level[first * HASH_BYTES : cut]))
            first, old, size, is_whole = first + half, old - half, size - half, False
    if not is_whole:
        proof.append(root(level[first * HASH_BYTES : (first + size) * HASH_BYTES]))
    return tuple(reversed(proof))


def verify_consistency(
    old: int, old_root: bytes, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return when `proof` shows that a tree only grew, from `old` leaves to `size`.

    Raises:
        TrustError: it does not.
    """
    if not 0 <= old <= size:
        raise _unproven()
    if old in (0, size):
        if proof or old_root != (root if old else EMPTY_ROOT):
            raise _unproven()
        return
    steps = _steps(proof)
    index, last = old - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    # When the old tree is one full subtree its root opens the path, and the proof leaves it out.
    earlier = later = next(steps, b"") if index else old_root
    while last:
        if index & 1:
            left = next(steps, b"")
            earlier, later = digest(_NODE + left + earlier), digest(_NODE + left + later)
        elif index < last:
            later = digest(_NODE + later + next(steps, b""))
        index, last = index >> 1, last >> 1
    if earlier != old_root or later != root or next(steps, None) is not None:
        raise _unproven()


def rows_root(hashes: Hashes) -> bytes:
    """Return the root of a commit's rows: levels of nodes with up to sixteen children each.

    The number of rows is no part of it: whoever signs the root signs the count with it.
    """
    level = joined(hashes)
    while len(level) > _GROUP_BYTES:
        level = rows_parents(level)
    return digest(_ROWS + level)


def root_of_one_row(hash: bytes) -> bytes:
    """Return `rows_root` of a commit with one row."""
    return digest(_ROWS + hash)


def rows_proof(hashes: Hashes, index: int) -> tuple[bytes, ...]:
    """Return for each level the other children of the node, joined, lowest level first.

    Raises:
        UsageError: there is no such row.
    """
    level = joined(hashes)
    if not 0 <= index < len(level) // HASH_BYTES:
        raise UsageError(f"a commit of {len(level) // HASH_BYTES} rows has no row {index}")
    proof = []
    while True:
        at, start = index * HASH_BYTES, index // FAN_OUT * _GROUP_BYTES
        proof.append(level[start:at] + level[at + HASH_BYTES : start + _GROUP_BYTES])
        level, index = rows_parents(level), index // FAN_OUT
        if len(level) == HASH_BYTES:
            return tuple(proof)


def verify_rows(hash: bytes, index: int, count: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return when `proof` shows a row's hash at `index` of `count` rows under this root.

    Args:
        count: number of rows as signed; the tree itself does not tell 17 rows from 18.

    Raises:
        TrustError: it does not.
    """
    if not 0 <= index < count or len(hash) != HASH_BYTES:
        raise _unproven()
    node = hash
    for depth, others in enumerate(proof):
        if depth and count == 1:
            raise _unproven()
        group, place = divmod(index, FAN_OUT)
        siblings = min(FAN_OUT, count - group * FAN_OUT) - 1
        if len(others) != siblings * HASH_BYTES:
            raise _unproven()
        cut = place * HASH_BYTES
        node = digest(_ROWS + others[:cut] + node + others[cut:])
        index, count = group, -(-count // FAN_OUT)
    if not proof or count != 1 or node != root:
        raise _unproven()


def node(left: bytes, right: bytes) -> bytes:
    """Return the node over two subtrees of the RFC 9162 tree."""
    return digest(_NODE + left + right)


def rows_node(children: bytes) -> bytes:
    """Return the node over up to sixteen joined children of a tree of rows."""
    return digest(_ROWS + children)


def joined(hashes: Hashes) -> bytes:
    """Return hashes as one string of bytes."""
    if isinstance(hashes, bytes | bytearray | memoryview):
        raw = bytes(hashes)
        fits = len(raw) % HASH_BYTES == 0
    else:
        raw = b"".join(hashes)
        fits = set(map(len, hashes)) <= {HASH_BYTES}
    if not fits:
        raise UsageError(f"a hash has {HASH_BYTES} bytes")
    return raw


def split(raw: Buffer) -> list[bytes]:
    """Return joined hashes one by one."""
    return [bytes(raw[at : at + HASH_BYTES]) for at in range(0, len(raw), HASH_BYTES)]


def _parents(level: bytes) -> bytes:
    """Return the level above; a last node without sibling is taken over unchanged."""
    return _folded(level, _NODE, 2 * HASH_BYTES, len(level) & -(2 * HASH_BYTES))


def rows_parents(level: bytes) -> bytes:
    """Return the level above in a tree of rows."""
    return _folded(level, _ROWS, _GROUP_BYTES, len(level))


def _folded(level: bytes, prefix: bytes, step: int, end: int) -> bytes:
    # One hasher, reset for each node: half the cost of a fresh one.
    one = hasher()
    reset, update, finish = one.reset, one.update, one.digest
    above: list[bytes] = []
    add = above.append
    for at in range(0, end, step):
        update(prefix + level[at : at + step])
        add(finish())
        reset()
    return b"".join(above) + level[end:]


def _split_of(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _steps(proof: Sequence[bytes]) -> Iterator[bytes]:
    if any(len(step) != HASH_BYTES for step in proof):
        raise _unproven()
    return iter(proof)


def _unproven() -> TrustError:
    return TrustError(
        "the proof does not lead to the root",
        hint="the data was altered, or the proof belongs to another tree",
    )
