from __future__ import annotations

from ate.testing.chance import Chance


def draws(seed: int | str) -> list[object]:
    chance = Chance(seed)
    return [chance.below(1000), chance.choice("abcdefgh"), chance.bytes(5), chance.happens(50)]


def test_equal_seeds_give_equal_choices() -> None:
    assert draws(1) == draws(1) == draws("1")
    assert draws(1) != draws(2)


def test_bounds() -> None:
    chance = Chance(3)
    assert {chance.below(3) for _ in range(200)} == {0, 1, 2}
    assert not any(chance.happens(0) for _ in range(50))
    assert all(chance.happens(100) for _ in range(50))
