from __future__ import annotations

import pytest

from ate import limits
from ate.errors import ProtocolError
from ate.event.access import Access, Any, Everyone, Inherit, Nobody, Only
from ate.event.row import Row
from ate.ids import ROOT
from ate.testing.stage import Stage, member
from ate.trust.plugin import Stored
from ate.trust.rules import Rules

ALICE = member("alice").public
MINE = Access(Only(ALICE), Any(ALICE))


def named(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Tree:
    """What a chain holds: parents and rules by number; 0 is the chain itself."""

    def __init__(self, **objects: tuple[int, Access | None]) -> None:
        self.objects = {named(int(name[1:])): value for name, value in objects.items()}
        self.asked: list[bytes] = []

    def stored(self, object_id: bytes) -> Stored | None:
        self.asked.append(object_id)
        found = self.objects.get(object_id)
        if found is None:
            return None
        zero = bytes(16)
        row = Row(1, 0, 0, 0, 0, object_id, named(found[0]), 0, 0, zero, 0, bytes(32), 0, 0, 0)
        return Stored(1, False, row, found[1])


def test_the_nearest_rule_above_holds() -> None:
    tree = Tree(_0=(0, Access(Everyone, Nobody)), _1=(0, MINE), _2=(1, None), _3=(0, None))
    rules = Rules(tree.stored)
    assert rules.write_rule(named(1)) == rules.write_rule(named(2)) == MINE.write
    assert rules.write_rule(named(3)) is Nobody
    assert rules.read_domain(named(2)) == (named(1), MINE.read)
    assert rules.read_domain(named(3)) == (ROOT, Everyone)


def test_each_half_of_a_rule_inherits_by_itself() -> None:
    tree = Tree(_0=(0, Access()), _1=(0, MINE), _2=(1, Access(Everyone, Inherit)))
    rules = Rules(tree.stored)
    assert rules.write_rule(named(2)) == MINE.write
    assert rules.read_domain(named(2)) == (named(2), Everyone)


def test_a_chain_without_a_rule_inherits_from_nobody() -> None:
    rules = Rules(Tree().stored)
    assert rules.write_rule(ROOT) is Inherit
    assert rules.read_domain(ROOT) == (ROOT, Inherit)


def test_a_new_object_is_judged_by_the_stored_state_of_its_declared_parent() -> None:
    """A rule that it brings along itself, or its new parents bring, counts from the next commit."""
    tree = Tree(_0=(0, Access(write=Nobody)), _1=(0, MINE))
    generous = Access(Everyone, Everyone)
    pending: dict[bytes, tuple[bytes, Access | None]] = {
        named(8): (named(1), generous),
        named(9): (named(8), generous),
        named(7): (ROOT, generous),
    }
    rules = Rules(tree.stored, pending)
    assert rules.write_rule(named(9)) == MINE.write
    assert rules.write_rule(named(7)) is Nobody
    assert rules.read_domain(named(9)) == (named(9), Everyone)


def test_an_existing_object_is_judged_by_its_own_stored_parent() -> None:
    """Nobody can bring a friendlier parent along."""
    tree = Tree(_0=(0, Access()), _1=(0, MINE), _2=(1, None), _3=(0, Access(Everyone, Everyone)))
    rules = Rules(tree.stored, {named(2): (named(3), None)})
    assert rules.write_rule(named(2)) == MINE.write
    assert rules.read_domain(named(2)) == (named(3), Everyone)


def test_parents_that_nobody_knows_fall_to_the_chain() -> None:
    rules = Rules(Tree(_0=(0, Access(Everyone, Nobody))).stored)
    assert rules.write_rule(named(5)) is Nobody
    assert rules.read_domain(named(5)) == (ROOT, Everyone)


def test_what_was_found_is_not_looked_up_again() -> None:
    tree = Tree(_0=(0, Access()), _1=(0, MINE), _2=(1, None))
    rules = Rules(tree.stored)
    rules.write_rule(named(2))
    rules.read_domain(named(2))
    asked = len(tree.asked)
    assert rules.write_rule(named(1)) == rules.write_rule(named(2)) == MINE.write
    rules.read_domain(named(2))
    assert len(tree.asked) == asked


def test_the_commit_is_only_looked_at_when_a_parent_is_not_stored() -> None:
    looked: list[int] = []

    def declared() -> dict[bytes, tuple[bytes, Access | None]]:
        looked.append(1)
        return {named(9): (named(1), None)}

    rules = Rules(Tree(_0=(0, Access()), _1=(0, MINE)).stored, declared=declared)
    rules.write_rule(named(1))
    assert looked == []
    assert rules.write_rule(named(9)) == MINE.write
    assert looked == [1]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_cycle_of_parents_is_refused(length: int) -> None:
    cycle = {f"_{at}": (at % length + 1, None) for at in range(1, length + 1)}
    for rules in (
        Rules(Tree(**cycle).stored),
        Rules(Tree().stored, {named(int(k[1:])): (named(v[0]), None) for k, v in cycle.items()}),
    ):
        with pytest.raises(ProtocolError, match="cycle"):
            rules.write_rule(named(1))
        with pytest.raises(ProtocolError, match="cycle"):
            rules.read_domain(named(1))


def test_depth_has_a_bound() -> None:
    depth = limits.TREE_DEPTH_MAX
    chain = {f"_{at}": (at - 1, None) for at in range(1, depth + 2)}
    tree = Tree(_0=(0, Access(Everyone, Nobody)), **chain)
    assert Rules(tree.stored).write_rule(named(depth)) is Nobody
    with pytest.raises(ProtocolError, match="256"):
        Rules(tree.stored).write_rule(named(depth + 1))
    with pytest.raises(ProtocolError, match="256"):
        Rules(tree.stored).read_domain(named(depth + 1))


async def test_a_chain_answers_like_the_model() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    rule = Access(Only(alice.public, bob.public), Any(bob.public))
    folder = await stage.as_(alice).store("folder", access=rule)
    note = await stage.as_(bob).store("note", parent=folder)
    rules = Rules((await stage.ledger()).view.stored)
    assert rules.write_rule(note) == rule.write
    assert rules.read_domain(note) == (folder, rule.read)
