from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.crypto.entropy import SeededEntropy, system_entropy
from ate.errors import LimitExceeded, UsageError
from ate.ids import ROOT, ChainName, IdSource, ObjectId

SEGMENTS = st.text(string.ascii_letters + string.digits + "_@+-.", min_size=1, max_size=12).filter(
    lambda one: not one.startswith(".")
)


@given(st.binary(min_size=16, max_size=16))
def test_an_id_is_read_back_from_its_printed_form(raw: bytes) -> None:
    one = ObjectId(raw)
    assert ObjectId.parse(str(one)) == one == raw
    assert repr(one) == f"ObjectId({one})"


@given(st.binary(max_size=40).filter(lambda raw: len(raw) != 16))
def test_an_id_has_sixteen_bytes(raw: bytes) -> None:
    with pytest.raises(UsageError, match="16 bytes"):
        ObjectId(raw)
    with pytest.raises(UsageError):
        ObjectId.parse(raw.hex())


@given(st.text(max_size=40))
def test_text_is_an_id_or_a_usage_error(text: str) -> None:
    try:
        assert len(ObjectId.parse(text)) == 16
    except UsageError:
        pass


def test_random_ids_differ() -> None:
    assert len({ObjectId.random() for _ in range(100)}) == 100
    assert bytes(16) == ROOT


def test_a_source_gives_fresh_ids_from_its_entropy() -> None:
    one, two = IdSource(SeededEntropy(1)), IdSource(SeededEntropy(1))
    drawn = [one.next() for _ in range(600)]
    assert len(set(drawn)) == 600
    assert drawn == [two.next() for _ in range(600)]
    assert all(isinstance(each, ObjectId) for each in drawn)
    assert IdSource(system_entropy).next() != IdSource(system_entropy).next()


@given(st.lists(SEGMENTS.filter(lambda one: not one.isdigit()), min_size=1, max_size=6))
def test_a_name_is_segments_joined_by_slashes(segments: list[str]) -> None:
    name = "/".join(segments)
    assert ChainName(name) == name == ChainName("/" + name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a//b",
        "a/",
        "..",
        ".hidden",
        "a/000001",
        "doomed.000001",
        "a/LOCK",
        "a/../b",
        "a b",
        "a\0",
        "a\n",
        "é",
        "-\\",
        "\ud800",
        "*",
    ],
)
def test_what_could_leave_the_directory_or_confuse_a_shell_is_no_name(text: str) -> None:
    with pytest.raises(UsageError, match="not a chain name"):
        ChainName(text)


def test_a_name_has_at_most_256_bytes() -> None:
    assert len(ChainName("a" * 256)) == 256
    with pytest.raises(LimitExceeded):
        ChainName("a" * 257)
    with pytest.raises(LimitExceeded):
        ChainName("é" * 129)
