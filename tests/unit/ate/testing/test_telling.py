"""Who is told late, too little, or less than before is named; who left or came later is not."""

from __future__ import annotations

import pytest

from ate.testing.history import Case, Follower, Mended
from ate.testing.telling import followers_are_told


def told(*moments: tuple[float, int], since: float = 0.0, until: float = 99.0) -> list[str]:
    """Judge one follower of a chain that was mended at 10 with a length of 7."""
    one = Follower("bob", "c", since, list(moments), until)
    return followers_are_told(Case(followers=[one], mended=[Mended("c", 10.0, 7, within_s=5.0)]))


@pytest.mark.parametrize(
    "moments",
    [
        [(1, 3), (12, 7)],
        [(1, 3), (15, 9)],
        [(1, 7)],
        [(1, 3), (2, 3), (15, 7)],
    ],
)
def test_who_was_told_in_time_is_not_named(moments: list[tuple[float, int]]) -> None:
    assert told(*moments) == []


def test_who_is_told_late_is_named_with_the_moment() -> None:
    (line,) = told((1, 3), (15.5, 7))
    assert line == (
        "bob was told a length of 3 of c until 15, the rest at 15.5: it is 7,"
        " and all was mended at 10"
    )


def test_who_is_never_told_is_named() -> None:
    assert "bob was told a length of 6 of c until 15, never more" in told((1, 6))[0]
    assert "bob was told a length of 0 of c until 15, never more" in told()[0]


def test_a_length_that_goes_back_is_named() -> None:
    (line,) = told((1, 7), (2, 5), (3, 8))
    assert line == "bob was told a length of 5 of c at 2, and 7 before"


def test_nothing_is_owed_to_who_left_or_came_later_or_follows_another_chain() -> None:
    assert told((1, 3), until=14.9) == []
    assert told((11, 3), since=11.0) == []
    other = Follower("bob", "d", 0.0, [(1, 3)])
    assert followers_are_told(Case(followers=[other], mended=[Mended("c", 10.0, 7)])) == []
