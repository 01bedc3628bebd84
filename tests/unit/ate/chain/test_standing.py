"""`ate.chain.standing`: parents and guards, as they are now."""

from __future__ import annotations

import pytest
from tests.unit.ate.mesh.served import _UNORDERED

from ate.chain.index import DEAD, Index
from ate.chain.standing import check_guards, check_parents, check_parents_of
from ate.errors import Conflict, Fenced
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.ids import ROOT
from ate.testing.forger import Forger, Line
from ate.testing.tamper import ordered

HERE, GONE, NEVER = (bytes([number]) * 16 for number in (1, 2, 3))
CHILD, OTHER = bytes([8]) * 16, bytes([9]) * 16


def index() -> Index:
    made = Index()
    made.put(HERE, 5, 5, 0)
    made.put(GONE, 7 | DEAD, 6, 0)
    return made


def draft(id: bytes, parent: bytes = bytes(ROOT), kind: Kind = Kind.DATA) -> Draft:
    return Draft(int(kind), id, parent, 0, 0, 0, 0, 1, b"")


def test_guards_hold_as_long_as_nothing_moved() -> None:
    check_guards(index(), [])
    check_guards(index(), [(HERE, 5), (GONE, 7), (NEVER, 0)])
    for object_id, seq in ((HERE, 4), (HERE, 0), (GONE, 6), (NEVER, 1)):
        with pytest.raises(Fenced):
            check_guards(index(), [(HERE, 5), (object_id, seq)])


def test_a_parent_is_here_or_comes_along() -> None:
    check_parents(index(), [draft(CHILD)])
    check_parents(index(), [draft(CHILD, HERE)])
    check_parents(index(), [draft(CHILD, NEVER), draft(NEVER)])
    check_parents(index(), [draft(CHILD, GONE, Kind.TOMBSTONE)])


@pytest.mark.parametrize(
    "parent, theirs, why", [(GONE, 7, "was deleted"), (NEVER, 0, "is not in this chain")]
)
def test_under_nothing_nothing_hangs(parent: bytes, theirs: int, why: str) -> None:
    with pytest.raises(Conflict, match=why) as caught:
        check_parents(index(), [draft(OTHER), draft(CHILD, parent)])
    assert (caught.value.object, caught.value.theirs) == (parent, theirs)


def test_a_parent_that_goes_in_the_same_commit_is_none() -> None:
    rows = [draft(HERE, kind=Kind.TOMBSTONE), draft(CHILD, HERE)]
    with pytest.raises(Conflict, match="was deleted"):
        check_parents(index(), rows)


def test_a_commit_from_elsewhere_is_looked_at_alike() -> None:
    def record(*lines: Line) -> Record:
        return Record(memoryview(ordered(Forger(bytes(32)).commit(*lines), _UNORDERED)))

    check_parents_of(index(), record(Line(CHILD), Line(OTHER)))
    check_parents_of(index(), record(Line(CHILD, HERE)))
    with pytest.raises(Conflict):
        check_parents_of(index(), record(Line(CHILD), Line(OTHER, GONE)))
