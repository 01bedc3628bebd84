"""`atedb.quota`: what an owner keeps is counted, and more than allowed is refused."""

from __future__ import annotations

import pytest

from ate.errors import LimitExceeded
from atedb.quota import Allowance, Quota

ALICE, BOB = b"a" * 16, b"b" * 16


def test_bytes_are_those_of_all_chains_of_an_owner() -> None:
    quota = Quota(Allowance(bytes=100))
    assert quota.own("one", ALICE, 40)
    assert quota.own("two", ALICE, 40)
    quota.check_bytes("one", BOB, 20)
    with pytest.raises(LimitExceeded) as caught:
        quota.check_bytes("one", BOB, 21)
    assert (caught.value.value, caught.value.bound) == (101, 100)
    quota.check_bytes("three", BOB, 100)


def test_whoever_writes_the_owner_pays() -> None:
    quota = Quota(Allowance(bytes=100))
    quota.own("one", ALICE)
    quota.grew("one", 100)
    with pytest.raises(LimitExceeded):
        quota.check_bytes("one", BOB, 1)


def test_chains_are_counted() -> None:
    quota = Quota(Allowance(chains=2))
    for name in ("one", "two"):
        quota.check_new(ALICE)
        quota.own(name, ALICE)
    with pytest.raises(LimitExceeded):
        quota.check_new(ALICE)
    quota.check_new(BOB)


def test_the_first_owner_stays() -> None:
    quota = Quota(Allowance())
    assert quota.own("one", ALICE)
    assert not quota.own("one", BOB, 10)
    assert quota.owner("one") == ALICE
    assert quota.owner("two") is None


def test_a_compacted_chain_gives_its_bytes_back() -> None:
    quota = Quota(Allowance(bytes=100))
    quota.own("one", ALICE, 100)
    quota.measured("one", 30)
    quota.check_bytes("one", ALICE, 70)
    with pytest.raises(LimitExceeded):
        quota.check_bytes("one", ALICE, 71)


def test_what_nobody_owns_is_not_counted() -> None:
    quota = Quota(Allowance(bytes=10))
    quota.grew("ghost", 1000)
    quota.measured("ghost", 1000)
    quota.check_bytes("ghost", ALICE, 10)


def test_without_limits_nothing_is_refused() -> None:
    quota = Quota(Allowance())
    quota.own("one", b"", 1 << 60)
    quota.check_new(b"")
    quota.check_bytes("one", b"", 1 << 60)
