from __future__ import annotations

import pytest

from ate.errors import LimitExceeded, RemoteError, codes
from ate.wire.failure import clean, error_of


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_becomes_its_error(code: str) -> None:
    error = error_of(code, "what happened", "do this")
    assert type(error) is codes()[code]
    assert (error.code, error.message, error.hint) == (code, "what happened", "do this")
    assert str(error) == "what happened"


def test_no_hint_leaves_the_hint_of_the_class() -> None:
    assert error_of("cannot_open", "x").hint == codes()["cannot_open"].default_hint
    limit = error_of("limit_exceeded", "too much")
    assert isinstance(limit, LimitExceeded)
    assert (limit.limit, limit.value, limit.bound) == ("", 0, 0)


def test_a_code_of_a_later_version_is_named() -> None:
    error = error_of("brand_new\x1b", "text")
    assert type(error) is RemoteError
    assert error.message == "brand_new : text"
    assert error_of("", "text").message == "error: text"


def test_a_strangers_text_is_made_harmless() -> None:
    assert clean("a\x1b[2Jb\nc\u202ed") == "a [2Jb c d"
    assert clean("grüße 🙂") == "grüße 🙂"
    assert len(clean("x" * 5000)) == 1000
    assert error_of("trust", "\x07", "\x1b").message == " "
