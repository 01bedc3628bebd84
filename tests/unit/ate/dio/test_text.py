"""Two people, one text: nobody's words are lost, and what cannot be joined is said."""

from __future__ import annotations

import random
import re
import typing
from typing import Annotated, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ate
from ate import limits
from ate.dio.text import Text, is_text, merge_text
from ate.errors import Conflict, UsageError

BASE = "one\ntwo\nthree\nfour\nfive\n"


@pytest.mark.parametrize(
    "base, ours, theirs, merged",
    [
        (BASE, BASE.replace("one", "1"), BASE.replace("five", "5"), "1\ntwo\nthree\nfour\n5\n"),
        (BASE, "zero\n" + BASE, BASE + "six\n", "zero\n" + BASE + "six\n"),
        (BASE, BASE.replace("two\n", ""), BASE.replace("four", "4"), "one\nthree\n4\nfive\n"),
        (BASE, BASE.replace("two", "2"), BASE.replace("two", "2"), BASE.replace("two", "2")),
        # Neighbouring lines, then neighbouring words.
        (BASE, BASE.replace("two", "2"), BASE.replace("three", "3"), "one\n2\n3\nfour\nfive\n"),
        ("the quick brown fox", "the slow brown fox", "the quick brown dog", "the slow brown dog"),
        ("a b c\n", "a b c d\n", "x a b c\n", "x a b c d\n"),
        ("a b\n", "A b\n", "a B\n", "A B\n"),
        # Ends of lines are text as well.
        ("a\nb", "a\nb\nc", "A\nb", "A\nb\nc"),
        ("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n", "A\r\nb\r\nC\r\n"),
        ("", "", "new", "new"),
        ("gone\n", "", "gone\n", ""),
    ],
)
def test_changes_in_different_places_join(base: str, ours: str, theirs: str, merged: str) -> None:
    assert merge_text(base, ours, theirs) == merged
    assert merge_text(base, theirs, ours) == merged


CLASHES = [
    (BASE, BASE.replace("two", "2"), BASE.replace("two", "II"), "line 2"),
    (BASE, BASE.replace("two\n", ""), BASE.replace("two", "II"), "line 2"),
    (BASE, BASE + "ours\n", BASE + "theirs\n", "line 6"),
    ("", "ours", "theirs", "line 1"),
    ("9.90", "8.90", "9.95", "line 1"),
    ("wonderful", "wonderfull", "Wonderful", "line 1"),
    ("a b", "a x b", "a y b", "line 1"),
    (BASE, BASE.replace("two\nthree\nfour\n", ""), BASE.replace("three", "3"), "lines 2 to 4"),
]


@pytest.mark.parametrize("base, ours, theirs, where", CLASHES)
def test_changes_in_one_place_are_a_conflict(base: str, ours: str, theirs: str, where: str) -> None:
    for sides in ((ours, theirs), (theirs, ours)):
        with pytest.raises(Conflict, match=f"changed {where}, each differently"):
            merge_text(base, *sides)


def test_a_conflict_can_be_marked() -> None:
    ours, theirs = BASE.replace("two", "2") + "six\n", "zero\n" + BASE.replace("two", "II")
    assert merge_text(BASE, ours, theirs, conflicts="mark") == (
        "zero\none\n<<<<<<< ours\n2\n=======\nII\n>>>>>>> theirs\nthree\nfour\nfive\nsix\n"
    )
    assert merge_text("x", "ours", "theirs", conflicts="mark", labels=("me", "Bob")) == (
        "<<<<<<< me\nours\n=======\ntheirs\n>>>>>>> Bob\n"
    )
    assert merge_text("x\n", "", "theirs\n", conflicts="mark") == (
        "<<<<<<< ours\n=======\ntheirs\n>>>>>>> theirs\n"
    )


def test_lines_alone_can_be_asked_for() -> None:
    sides = "a b\n", "A b\n", "a B\n"
    assert merge_text(*sides) == "A B\n"
    with pytest.raises(Conflict):
        merge_text(*sides, words=False)


def test_a_rewritten_paragraph_is_not_mixed_with_words_of_another() -> None:
    """Blanks that happen to be equal keep nothing apart."""
    base = "the cat sat on the mat\n"
    with pytest.raises(Conflict):
        merge_text(base, "a dog ran in a park\n", "the cat sat right on the mat\n")


def test_wrong_calls_are_told() -> None:
    with pytest.raises(UsageError, match="'error' or 'mark'"):
        merge_text("a", "b", "c", conflicts="ours")
    with pytest.raises(UsageError, match="three texts"):
        merge_text("a", b"b", "c")  # type: ignore[arg-type]


# --- whatever the texts --------------------------------------------------------------------------

WORDS = st.sampled_from([*"abcdefgh", "the", "the", "\n", "\n"])
TEXTS = st.lists(WORDS, max_size=30).map(lambda words: " ".join(words).replace(" \n ", "\n"))
#: (where, how many words go, how many new ones come)
EDITS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 2)), max_size=3)


def edited(text: str, edits: list[tuple[int, int, int]], name: str) -> str:
    """Return a text with words taken out and new ones, which nobody else has, put in."""
    words = re.findall(r"\S+|\s+", text)
    for number, (at, gone, more) in enumerate(edits):
        words[at : at + gone] = [f" {name}{number}.{n} \n" for n in range(more)]
    return "".join(words)


def tokens(text: str) -> list[str]:
    return text.split()


@given(TEXTS, EDITS, EDITS)
def test_no_word_is_lost_and_none_comes_back(
    base: str, our_edits: list[tuple[int, int, int]], their_edits: list[tuple[int, int, int]]
) -> None:
    ours, theirs = edited(base, our_edits, "ours"), edited(base, their_edits, "theirs")
    marked = merge_text(base, ours, theirs, conflicts="mark")
    for token in tokens(ours) + tokens(theirs):
        if "." in token:
            assert tokens(marked).count(token) == 1, "what is new is there once"
    for token in set(tokens(base)):
        kept = min(tokens(ours).count(token), tokens(theirs).count(token))
        lost = tokens(base).count(token) - kept
        assert tokens(marked).count(token) >= kept - lost
    try:
        merged = merge_text(base, ours, theirs)
    except Conflict:
        assert "<<<<<<< ours" in marked
        return
    assert merged == marked == merge_text(base, theirs, ours)


@given(TEXTS, TEXTS)
def test_one_side_alone_wins(base: str, changed: str) -> None:
    assert merge_text(base, changed, base) == changed
    assert merge_text(base, base, changed) == changed
    assert merge_text(base, changed, changed) == changed


def test_megabytes_of_lines_are_merged_and_the_work_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(3)
    base = [f"{number} {draw.random()}\n" for number in range(100_000)]
    ours, theirs = list(base), list(base)
    for at in range(0, 100_000, 500):
        ours[at] = f"ours {at}\n"
        theirs[at + 200] = f"theirs {at}\n"
    texts = ["".join(side) for side in (base, ours, theirs)]
    merged = merge_text(*texts).splitlines(keepends=True)
    assert len(merged) == 100_000
    assert merged[::500] == ours[::500]
    assert merged[200::500] == theirs[200::500]
    monkeypatch.setattr(limits, "MERGE_WORK_MAX", 1000)
    with pytest.raises(Conflict):
        merge_text(*texts)
    assert "ours 500\n" in merge_text(*texts, conflicts="mark")


# --- the annotation ------------------------------------------------------------------------------


def test_which_annotations_are_text() -> None:
    assert ate.Text is Text
    for hint in (Text, Text | None, Optional[Text], typing.Union[int, Text]):  # noqa: UP007, UP045
        assert is_text(hint)
    for hint in (str, str | None, list[Text], dict[str, Text], Annotated[str, "Text"], None, 5):
        assert not is_text(hint)
