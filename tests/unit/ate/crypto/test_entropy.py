from __future__ import annotations

import pytest

from ate.crypto.entropy import Entropy, SeededEntropy, system_entropy
from ate.crypto.hash import derive
from ate.errors import UsageError


def test_the_system_never_repeats() -> None:
    draw: Entropy = system_entropy
    assert len(draw(32)) == 32
    assert draw(32) != draw(32)
    assert draw(0) == b""


def test_a_seed_gives_the_same_bytes_however_they_are_drawn() -> None:
    whole: Entropy = SeededEntropy(7)
    pieces = SeededEntropy(7)
    assert whole(300) == pieces(1) + pieces(0) + pieces(99) + pieces(200)
    assert whole(16) != SeededEntropy(7)(16)


def test_seeds_differ() -> None:
    assert SeededEntropy(7)(16) == SeededEntropy(b"7")(16)
    assert SeededEntropy(7)(16) != SeededEntropy(8)(16)


def test_the_first_bytes_are_frozen() -> None:
    """A kept failing seed must fail in the same way forever."""
    assert SeededEntropy(7)(32) == derive("ate seeded entropy", b"7")


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(UsageError):
        SeededEntropy(1)(-1)
