from __future__ import annotations

import pytest

from ate.chain.index import DEAD, Index
from ate.chain.standing import check_guards, check_parents
from ate.dio.clash import check_versions
from ate.errors import Conflict, Fenced
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.ids import ROOT

A, B, C = (bytes([one]) * 16 for one in b"abc")


def draft(id: bytes, base: int = 0, *, parent: bytes = bytes(ROOT), **more: object) -> Draft:
    kind = more.pop("kind", Kind.DATA)
    return Draft(int(kind), id, parent, 0, base, 0, 0, 1, b"", None, bool(more.pop("over", False)))


def index(**seqs: int) -> Index:
    made = Index()
    for name, seq in seqs.items():
        made.put(name.encode() * 16, seq, 2, 0)
    return made


def check(made: Index, *drafts: Draft) -> None:
    check_versions(made, drafts, made.locate_many([one.id for one in drafts]))


def test_the_newest_version_may_be_replaced_and_no_other() -> None:
    made = index(a=7)
    check(made, draft(A, 7), draft(B))
    for base, message in ((6, "changed since"), (0, "exists already")):
        with pytest.raises(Conflict, match=message) as caught:
            check(made, draft(A, base))
        assert (caught.value.object, caught.value.theirs) == (A, 7)


def test_the_last_writer_wins_if_it_asks_to() -> None:
    one = draft(A, over=True)
    check(index(a=7), one)
    assert (one.base, one.created) == (7, 2)
    with pytest.raises(Conflict, match="changed since"):
        check(index(), draft(A, 5, over=True))


def test_a_deleted_object_is_not_changed_but_its_id_may_be_used_again() -> None:
    made = index(a=7 | DEAD)
    with pytest.raises(Conflict, match="was deleted"):
        check(made, draft(A, 6))
    again = draft(A)
    check(made, again)
    assert again.base == 7


def test_nothing_hangs_under_what_is_not_there() -> None:
    made = index(a=7, b=8 | DEAD)
    check_parents(made, [draft(C), draft(C, parent=A)])
    check_parents(made, [draft(B), draft(C, parent=B)])  # it comes in the same commit
    check_parents(made, [draft(C, parent=C, kind=Kind.TOMBSTONE)])
    for parent, message in ((B, "was deleted"), (C, "not in this chain")):
        with pytest.raises(Conflict, match=message):
            check_parents(made, [draft(bytes(15) + b"n", parent=parent)])
    with pytest.raises(Conflict, match="was deleted"):
        check_parents(made, [draft(A, 7, kind=Kind.TOMBSTONE), draft(C, parent=A)])


def test_a_guard_holds_while_its_object_is_as_it_was() -> None:
    made = index(a=7, b=8 | DEAD)
    check_guards(made, [(A, 7), (B, 8), (C, 0)])
    for guard in ((A, 6), (A, 0), (B, 7), (C, 1)):
        with pytest.raises(Fenced, match="other hands"):
            check_guards(made, [(A, 7), guard])
