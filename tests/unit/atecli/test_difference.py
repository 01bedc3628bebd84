"""The difference of two values is a patch that makes the one of the other."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atecli import difference
from atecli.difference import Change, changes, in_order, mark, path_text, summary, text_lines

LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b/~", "0"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "b", "c/d", "e~f", "0", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


def patched(value: Any, patch: list[dict[str, Any]]) -> Any:
    """Apply a JSON patch as RFC 6902 says it."""
    top = {"": copy.deepcopy(value)}
    for step in patch:
        names = step["path"].split("/")
        names = [name.replace("~1", "/").replace("~0", "~") for name in names]
        parent: Any = top
        for name in names[:-1]:
            parent = parent[int(name) if isinstance(parent, list) else name]
        last: Any = int(names[-1]) if isinstance(parent, list) else names[-1]
        if step["op"] == "remove":
            assert mark(parent[last]) == mark(step["old"])
            del parent[last]
        elif step["op"] == "add":
            if isinstance(parent, list):
                assert last <= len(parent)
                parent.insert(last, step["value"])
            else:
                assert last not in parent
                parent[last] = step["value"]
        else:
            assert mark(parent[last]) == mark(step["old"])
            parent[last] = step["value"]
    return top[""]


@given(old=VALUES, new=VALUES)
def test_a_patch_makes_the_new_value(old: Any, new: Any) -> None:
    steps = changes(old, new)
    assert bool(steps) == (mark(old) != mark(new))
    assert mark(patched(old, [step.document() for step in steps])) == mark(new)
    assert sorted(map(repr, in_order(steps))) == sorted(map(repr, steps))


@given(old=st.lists(st.integers(0, 4), max_size=12), new=st.lists(st.integers(0, 4), max_size=12))
def test_lists_are_patched(old: list[int], new: list[int]) -> None:
    assert patched(old, [step.document() for step in changes(old, new)]) == new


def test_steps_are_small() -> None:
    old = {"title": "milk", "tags": ["a", "b"], "at": {"x": 1, "y": 2}, "gone": None}
    new = {"title": "oat", "tags": ["a", "c", "b"], "at": {"x": 1, "y": 3}, "new": [1]}
    steps = changes(old, new)
    assert steps == [
        Change("replace", ("title",), "milk", "oat"), Change("add", ("tags", 1), None, "c"),
        Change("replace", ("at", "y"), 2, 3), Change("remove", ("gone",), None),
        Change("add", ("new",), None, [1]),
    ]  # fmt: skip
    assert summary(steps) == "title, tags[1], at.y, gone and 1 more"
    assert steps[3].document() == {"op": "remove", "path": "/gone", "old": None}
    assert steps[4].document() == {"op": "add", "path": "/new", "value": [1]}
    assert [one.path for one in in_order(changes([1, 2, 3], [4, 2, 5]))] == [(0,), (2,)]


@pytest.mark.parametrize(
    "one, other",
    [(1, True), (1, 1.0), (0, False), ("1", 1), (b"a", "a"), (Decimal("1.0"), Decimal("1.00"))],
)
def test_what_python_calls_equal_may_differ(one: Any, other: Any) -> None:
    assert [step.op for step in changes({"x": one}, {"x": other})] == ["replace"]
    assert changes([one], [other])


def test_what_is_the_same() -> None:
    assert changes({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []
    assert changes({"n": float("nan"), "s": {1, 2}}, {"n": float("nan"), "s": {2, 1}}) == []
    assert changes((1, 2), [1, 2]) == []
    assert changes({1: "x"}, {1: "y"}) == [Change("replace", ("1",), "x", "y")]


def test_long_lists_cost_a_bounded_time() -> None:
    old, new = list(range(5000)), [-one for one in range(5001)]
    steps = changes(old, new)
    assert len(steps) == 5000  # in place, and one more
    assert patched(old, [step.document() for step in steps]) == new
    assert changes(list(range(100_000)), [*range(100_000), 1]) == [
        Change("add", (100_000,), None, 1)
    ]


def test_texts_by_lines() -> None:
    assert text_lines("a\nb\nc\n", "a\nx\nc\n") == ["@@ -1,3 +1,3 @@", " a", "-b", "+x", " c"]
    assert text_lines("a\nb", "a\nb\n") == ['- "a\\nb"', '+ "a\\nb\\n"']
    many = "\n".join(map(str, range(3000)))
    assert text_lines(many, many[::-1]) == ["- 3000 lines", "+ 3000 lines"]
    assert difference._WORK_MAX < 3000 * 3000


def test_paths_for_people() -> None:
    assert path_text(()) == "."
    assert path_text(("a", 1, "b c", "d")) == 'a[1]["b c"].d'
