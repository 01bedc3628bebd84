from __future__ import annotations

import pytest

from ate import merkle, multiproof
from ate.crypto.hash import digest
from ate.errors import ProtocolError
from ate.multiproof import Part, inclusion, levels_of, merged, root_of
from ate.testing.chance import Chance
from ate.testing.thinning import fewer_siblings, rows_siblings


def hashes(count: int) -> list[bytes]:
    return [digest(b"%d" % n) for n in range(count)]


def some_of(chance: Chance, count: int) -> list[int]:
    return [n for n in range(count) if chance.happens(20)] or [chance.below(count)]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 100, 256, 257, 4097])
def test_kept_rows_and_siblings_lead_to_the_root(count: int) -> None:
    rows, chance = hashes(count), Chance(count)
    root = merkle.rows_root(rows)
    for kept in ([0], [count - 1], list(range(count)), *(some_of(chance, count) for _ in range(4))):
        siblings = rows_siblings(b"".join(rows), kept)
        known = [rows[at] for at in kept]
        assert multiproof.rows_root_from(count, kept, known, siblings) == root
        fewer = [at for at in kept if chance.happens(50)] or kept[:1]
        again = fewer_siblings(count, kept, known, siblings, fewer)
        assert again == rows_siblings(b"".join(rows), fewer)
        assert multiproof.rows_root_from(count, fewer, [rows[at] for at in fewer], again) == root


def test_all_rows_need_no_siblings() -> None:
    assert rows_siblings(b"".join(hashes(40)), range(40)) == b""


@pytest.mark.parametrize("count,kept", [(1, [0]), (20, [3]), (300, [0, 17, 299])])
def test_siblings_that_do_not_fit_are_refused(count: int, kept: list[int]) -> None:
    rows = hashes(count)
    siblings = rows_siblings(b"".join(rows), kept)
    known = [rows[at] for at in kept]
    for wrong in (siblings[1:], siblings[32:], siblings + bytes(32), siblings + b"x"):
        if wrong != siblings:
            with pytest.raises(ProtocolError):
                multiproof.rows_root_from(count, kept, known, wrong)
    if siblings:
        swapped = bytes([siblings[0] ^ 1]) + siblings[1:]
        root = multiproof.rows_root_from(count, kept, known, swapped)
        assert root != merkle.rows_root(rows)


def test_the_fewest_subtrees_that_cover_a_gap() -> None:
    assert list(levels_of(0, 8)) == [(0, 3)]
    assert list(levels_of(3, 11)) == [(3, 0), (4, 2), (8, 1), (10, 0)]
    assert list(levels_of(5, 5)) == []
    assert len(list(levels_of(1, (1 << 63) - 1))) < 130


def leaves(count: int) -> list[Part]:
    return [Part(n, 0, one) for n, one in enumerate(hashes(count))]


def test_neighbours_merge_as_far_as_they_go() -> None:
    for start in range(9):
        for stop in range(start, 20):
            found = merged(leaves(20)[start:stop])
            assert [(part.start, part.level) for part in found] == list(levels_of(start, stop))
            for part in found:
                inside = hashes(20)[part.start : part.start + (1 << part.level)]
                assert part.hash == merkle.root(inside)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13, 64, 100])
def test_roots_and_proofs_of_trees_with_gaps(count: int) -> None:
    all_of, chance = leaves(count), Chance(f"gaps {count}")
    whole = merkle.root(hashes(count))
    for index in range(count):
        held = sorted({index, *some_of(chance, count)})
        parts: list[Part] = []
        at = 0
        for one in [*held, count]:
            parts += merged(all_of[at:one])
            parts += all_of[one : one + 1]
            at = one + 1
        assert root_of(parts) == whole
        proof = inclusion(parts, index)
        assert proof == merkle.inclusion_proof(hashes(count), index)
        merkle.verify_inclusion(all_of[index].hash, index, count, proof, whole)


def test_a_dropped_leaf_has_no_proof() -> None:
    parts = merged(leaves(8))
    assert inclusion(parts, 3) is None
    assert inclusion([*merged(leaves(8)[:4]), *leaves(8)[4:]], 2) is None
