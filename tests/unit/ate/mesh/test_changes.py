"""`ate.mesh.changes`: what changed since a cursor, and nothing is ever missed."""

from __future__ import annotations

from ate.mesh.changes import Changes


def test_what_changed_since_is_told_newest_first() -> None:
    changes = Changes(b"s" * 16)
    for name, head in (("a", 1), ("b", 1), ("c", 1), ("a", 2)):
        changes.note(name, head)
    news = changes.since({}, ["a", "b", "c"])
    first = changes.answer(7, news, {})
    assert (first.ref, first.heads) == (7, [("a", 2), ("c", 1), ("b", 1)])
    assert changes.since(first.cursor, ["a", "b", "c"]) == (4, [], [])
    changes.note("b", 5)
    assert changes.since(first.cursor, ["a", "b", "c"]).heads == [("b", 5)]


def test_a_head_that_did_not_move_is_no_change() -> None:
    changes = Changes(b"s" * 16)
    changes.note("a", 1)
    cursor = {b"s" * 16: changes.since({}, ["a"]).position}
    changes.note("a", 1)
    assert changes.since(cursor, ["a"]).heads == []


def test_what_nobody_opened_since_the_start_may_have_changed() -> None:
    changes = Changes(b"s" * 16)
    changes.note("a", 1)
    changes.note("secret", 1)
    assert changes.since({}, ["a", "unheard of"]) == (2, [("a", 1)], ["unheard of"])
    assert changes.since({b"s" * 16: 0}, ["a", "unheard of"]) == (2, [("a", 1)], [])


def test_after_a_restart_all_counts_as_changed() -> None:
    before, after = Changes(b"1" * 16), Changes(b"2" * 16)
    for _ in range(5):
        before.note("a", _)
    cursor = before.answer(1, before.since({}, ["a"]), {}).cursor
    after.note("a", 4)
    news = after.since(cursor, ["a", "b"])
    assert (news.heads, news.unknown) == ([("a", 4)], ["b"])
    assert set(after.answer(2, news, cursor).cursor) == {b"1" * 16, b"2" * 16}
