"""`ate.event.principal`: a principal as text and back, and what is no such text."""

from __future__ import annotations

import pytest

from ate.errors import UsageError
from ate.event.access import Principal
from ate.event.principal import decode, encode
from ate.session import Session


@pytest.fixture(scope="module")
def alice() -> Principal:
    return Session.new("älice@example.org").public


def test_text_is_the_principal(alice: Principal) -> None:
    word = encode(alice)
    assert word.startswith("ate-principal-1:")
    assert word.isascii()
    assert len(word.split()) == 1
    assert decode(f"  {word}\n") == alice


@pytest.mark.parametrize("cut", [0, 15, 16, 100, 4000, -1])
def test_a_part_of_it_is_refused(alice: Principal, cut: int) -> None:
    with pytest.raises(UsageError, match="a part of it is missing"):
        decode(encode(alice)[:cut])


def test_a_typing_error_is_found(alice: Principal) -> None:
    word = encode(alice)
    other = "A" if word[200] != "A" else "B"
    with pytest.raises(UsageError):
        decode(word[:200] + other + word[201:])


@pytest.mark.parametrize("text", ["", "hello", "ate-principal-1:", "ate-principal-1:äöü"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        decode(text)
