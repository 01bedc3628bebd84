from __future__ import annotations

import re

import pytest

from ate import errors
from ate.errors import (
    AteError,
    CommitError,
    Conflict,
    CorruptLog,
    LimitExceeded,
    LoadError,
    NetworkError,
    NoReadKey,
    NotFound,
    ProtocolError,
    Refused,
    StorageError,
    TrustError,
    UsageError,
    WriteDenied,
    codes,
)

BRANCHES = (NetworkError, ProtocolError, TrustError, StorageError, CommitError, LoadError)


def test_every_class_has_a_code_of_its_own() -> None:
    """Codes cross the wire: two classes with one code would be one error over there."""
    declared = [one for one in vars(errors).values() if isinstance(one, type)]
    classes = [one for one in declared if issubclass(one, AteError)]
    table = codes()
    assert {table[one.code] for one in classes} == set(classes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in table)


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    text = errors.__doc__ or ""
    for cls in {one for one in codes().values() if one.__module__ == errors.__name__}:
        assert re.search(rf"\b{cls.__name__}\b", text), cls
    for branch in BRANCHES:
        own = [leaf for leaf in branch.__subclasses__() if leaf.__module__ == errors.__name__]
        (line,) = [one for one in text.splitlines() if f" {branch.__name__} " in one]
        for leaf in own:
            assert leaf.__name__ in text[text.index(line) :]


def test_an_error_without_a_message_says_its_code() -> None:
    assert str(WriteDenied()) == WriteDenied().message == "write denied"
    assert UsageError("no such thing").message == "no such thing"


def test_a_hint_is_the_class_s_own_unless_one_is_given() -> None:
    assert WriteDenied("x").hint == WriteDenied.default_hint != ""
    assert WriteDenied("x", hint="do this").hint == "do this"
    assert UsageError("x").hint == ""


def test_a_limit_says_what_was_asked_and_what_is_allowed() -> None:
    error = LimitExceeded("rows", 3, 2, hint="split it")
    assert (error.limit, error.value, error.bound, error.hint) == ("rows", 3, 2, "split it")
    assert error.message == "rows is 3, the limit is 2"


def test_damage_names_file_and_offset_when_they_are_known() -> None:
    known = CorruptLog("bad frame", offset=64, file="head.000001")
    assert known.message == "bad frame (head.000001 at byte 64)"
    assert (known.offset, known.file) == (64, "head.000001")
    assert CorruptLog("bad frame").message == "bad frame"


def test_a_missing_key_names_its_domain() -> None:
    assert NoReadKey("no key", domain=b"d" * 16).domain == b"d" * 16


@pytest.mark.parametrize(
    "message, verdicts, text",
    [
        ("refused by x", ("row 1: no",), "refused by x: row 1: no"),
        ("", ("row 1: no",), "row 1: no"),
        ("nobody", (), "nobody"),
        ("", (), "refused"),
        ("by x", ("a", "b", "c", "d", "e"), "by x: a; b; c; and 2 more"),
    ],
)
def test_a_refusal_lists_its_first_verdicts(
    message: str, verdicts: tuple[str, ...], text: str
) -> None:
    refused = Refused(message, verdicts=verdicts)
    assert refused.message == text
    assert refused.verdicts == verdicts


def test_a_conflict_names_the_object_and_their_version() -> None:
    conflict = Conflict("changed", object=b"i" * 16, theirs=7)
    assert (conflict.object, conflict.theirs) == (b"i" * 16, 7)
    assert "merge" in conflict.hint


def test_branches_are_caught_as_one() -> None:
    with pytest.raises(LoadError):
        raise NotFound("no object")
