"""`ate.mesh.changes`: what changed since a cursor, and nothing is ever missed."""

from __future__ import annotations

from ate.mesh.changes import Changes


def test_what_changed_since_is_told_newest_first() -> None:
    changes = Changes(b"s" * 16)
    for name, head in (("a", 1), ("b", 1), ("c", 1), ("a", 2)):
        changes.note(name, head)
    first = changes.answer(7, {}, ["a", "b", "c"])
    assert (first.ref, first.heads) == (7, [("a", 2), ("c", 1), ("b", 1)])
    assert changes.answer(8, first.cursor, ["a", "b", "c"]).heads == []
    changes.note("b", 5)
    assert changes.answer(9, first.cursor, ["a", "b", "c"]).heads == [("b", 5)]


def test_a_head_that_did_not_move_is_no_change() -> None:
    changes = Changes(b"s" * 16)
    changes.note("a", 1)
    cursor = changes.answer(1, {}, ["a"]).cursor
    changes.note("a", 1)
    assert changes.answer(2, cursor, ["a"]).heads == []


def test_only_of_those_asked_for_anything_is_told() -> None:
    changes = Changes(b"s" * 16)
    changes.note("a", 1)
    changes.note("secret", 1)
    assert changes.answer(1, {}, ["a", "unheard of"]).heads == [("a", 1)]


def test_after_a_restart_all_counts_as_changed() -> None:
    before, after = Changes(b"1" * 16), Changes(b"2" * 16)
    for _ in range(5):
        before.note("a", _)
    cursor = before.answer(1, {}, ["a"]).cursor
    after.note("a", 4)
    answer = after.answer(2, cursor, ["a"])
    assert answer.heads == [("a", 4)]
    assert set(answer.cursor) == {b"1" * 16, b"2" * 16}
