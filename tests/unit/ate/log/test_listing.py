from __future__ import annotations

import pytest

from ate.log import entries
from ate.log.entries import Entry
from ate.log.listing import Listing, told_anew


def holding(*works: bytes) -> Listing:
    listing = Listing()
    for number, work in enumerate(works, 1):
        listing.apply(entries.ENTRY, Entry(number, work))
    return listing


def states(listing: Listing) -> list[str]:
    return [f"{one.number} {one.state} {one.commit.decode()}" for one in listing.known.values()]


def test_a_life_is_replayed() -> None:
    listing = Listing()
    for kind, told in (
        (entries.ENTRY, Entry(1, b"work")),
        (entries.PREPARED, Entry(1, session=2, lsn=3, commit=b"c", state="sent")),
        (entries.MARKED, Entry(1, state="conflict", note=b"theirs")),
    ):
        assert listing.replay(entries.encode(kind, told)) == 1
        assert listing.size == sum(one.size for one in listing.known.values())
    assert listing.known == {1: Entry(1, b"work", 2, 3, b"c", "conflict", b"theirs")}
    listing.replay(entries.encode(entries.MARKED, Entry(1)))
    assert listing.known == {1: Entry(1, b"work")}
    listing.replay(entries.encode(entries.REMOVED, Entry(1)))
    assert listing.known == {}
    assert listing.size == 0


def test_entries_that_share_a_commit_have_one_fate() -> None:
    listing = holding(b"a", b"b", b"c", b"d")
    listing.apply(*entries.shared([3, 1, 2], 7, 1, b"commit"))
    assert states(listing) == ["1 sent ", "2 sent ", "3 sent commit", "4 waiting "]
    assert {one.shares for one in listing.known.values()} == {(3, 1, 2), ()}
    listing.apply(entries.LANDED, Entry(1))
    assert listing.known == {4: Entry(4, b"d")}
    assert listing.size == Entry(4, b"d").size


@pytest.mark.parametrize(
    "kind, told, rest",
    [
        (entries.MARKED, Entry(1), ["1 waiting ", "2 waiting ", "3 waiting "]),
        (entries.MARKED, Entry(2, state="conflict"), ["1 waiting ", "2 conflict ", "3 waiting "]),
        (entries.REMOVED, Entry(3), ["1 waiting ", "2 waiting "]),
        (*entries.shared([1], 7, 2, b"x"), ["1 sent x", "2 waiting ", "3 waiting "]),
        (*entries.shared([2, 3], 7, 2, b"x"), ["1 waiting ", "2 sent x", "3 sent "]),
    ],
)
def test_what_ends_it_for_one_lets_the_others_wait(kind: int, told: Entry, rest: list[str]) -> None:
    listing = holding(b"a", b"b", b"c")
    listing.apply(*entries.shared([3, 1, 2], 7, 1, b"commit"))
    listing.apply(kind, told)
    assert states(listing) == rest
    assert listing.size == sum(one.size for one in listing.known.values())


def test_it_is_told_anew() -> None:
    listing = holding(b"a", b"b", b"c", b"d", b"e")
    listing.apply(*entries.shared([3, 1], 7, 1, b"commit"))
    listing.apply(*entries.shared([2], 7, 2, b"alone"))
    listing.apply(entries.MARKED, Entry(4, state="conflict", note=b"why"))
    again = Listing()
    for payload in told_anew(list(listing.known.values())):
        again.replay(payload)
    assert again.known == listing.known
    assert again.size == listing.size


@pytest.mark.parametrize(
    "kind, told, words",
    [
        (entries.ENTRY, Entry(4), "grow"),
        (entries.REMOVED, Entry(5), "no entry 5"),
        (entries.MARKED, Entry(4, state="sent"), "without a commit"),
        (entries.MARKED, Entry(1, state="sent"), "without a commit"),
        (*entries.shared([1, 1], 7, 1, b"c"), "not there"),
        (*entries.shared([1, 5], 7, 1, b"c"), "not there"),
        (*entries.shared([1, 4], 7, 1, b"c"), "without work"),
    ],
)
def test_what_cannot_have_happened(kind: int, told: Entry, words: str) -> None:
    listing = holding(b"a", b"b", b"c", b"")
    listing.apply(*entries.shared([1, 2], 7, 1, b"commit"))
    before, size = dict(listing.known), listing.size
    with pytest.raises(ValueError, match=words):
        listing.replay(entries.encode(kind, told))
    assert (listing.known, listing.size) == (before, size)
