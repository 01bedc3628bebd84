from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.trust import matching
from ate.trust.matching import Match, matches

DRAW = random.Random(7)
NOISE = DRAW.randbytes(200_000)
PIECES = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 4000), st.integers(0, 3000)).map(lambda p: NOISE[p[0] : sum(p)]),
        st.binary(max_size=40),
        st.sampled_from([bytes(500), b"ab" * 300, b"line\n" * 100]),
    ),
    max_size=8,
).map(b"".join)


def covered(found: list[Match]) -> int:
    return sum(match.size for match in found)


def check(base: bytes, new: bytes) -> list[Match]:
    """Return what is found, if it is true, in order and without an overlap."""
    found = matches(base, new)
    end = 0
    for match in found:
        assert match.start >= end
        assert match.size > 0
        assert match.base + match.size <= len(base)
        end = match.start + match.size
        assert base[match.base : match.base + match.size] == new[match.start : end]
    assert end <= len(new)
    return found


@given(PIECES, PIECES)
def test_every_match_is_true(base: bytes, new: bytes) -> None:
    check(base, new)
    assert covered(check(base, base)) == len(base)
    check(base + new, new + base)


def test_nothing_and_everything() -> None:
    assert matches(b"", b"") == matches(b"", b"abc") == matches(b"abc", b"") == []
    assert matches(NOISE, NOISE) == [Match(0, 0, len(NOISE))]
    assert check(NOISE[:1000], NOISE) == [Match(0, 0, 1000)]
    assert check(NOISE, NOISE[5000:]) == [Match(5000, 0, len(NOISE) - 5000)]


def test_scattered_bytes_are_found_in_place() -> None:
    changed = bytearray(NOISE)
    for at in range(500, len(changed), 1000):
        changed[at] ^= 1
    found = check(NOISE, bytes(changed))
    assert covered(found) == len(NOISE) - 200
    assert all(match.base == match.start for match in found)
    # In a string without any structure too.
    assert covered(check(bytes(100_000), bytes(50_000) + b"x" + bytes(49_999))) == 99_999


def test_insertions_moves_and_deletions_are_found_where_they_went() -> None:
    one, two, three, four = (NOISE[at : at + 40_000] for at in range(0, 160_000, 40_000))
    base = one + two + three + four
    assert covered(check(base, one + three + two + four)) == len(base)
    assert covered(check(base, b"new" + one + b"x" + two + b"yz" + three[7:] + four)) == (
        len(base) - 7
    )
    assert covered(check(one + two, two + two + one)) == 120_000
    assert covered(check(base, three[5:-5] + b"?" * 50)) == len(three) - 10


def test_zeros_and_runs_end_soon() -> None:
    """Where every place looks like every other one, less is found, in bounded time."""
    runs = [bytes(300_000), b"\x07" * 300_000, b"abc" * 100_000, NOISE[:100] * 3000]
    for run in runs:
        check(run, b"head" + run[:-9] + b"tail")
        check(run, NOISE + run)
        check(NOISE + run, run + NOISE)


def test_the_number_of_matches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELTA_PIECES_MAX", 20)
    changed = bytearray(NOISE)
    for at in range(500, len(changed), 1000):
        changed[at] ^= 1
    assert len(check(NOISE, bytes(changed))) <= 22
    longer = b"".join(NOISE[at : at + 1000] + b"!" for at in range(0, len(NOISE), 1000))
    assert len(check(NOISE, longer)) <= 22


def test_the_number_of_anchors_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_ANCHORS_MAX", 64)
    places, keys = matching._anchors(matching.np.frombuffer(NOISE, matching.np.uint8), 16)
    assert len(places) == len(keys) <= 64
    assert (matching.np.diff(places) > 0).all()
    check(NOISE, b"x" + NOISE[:90_000] + b"y" + NOISE[90_000:] + b"z")
