"""`atedb.gate`: who gets in, what a token opens, how limits are shared, what is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ate.errors import (
    AccessDenied,
    BadToken,
    LimitExceeded,
    NotFound,
    Throttled,
    TokenExpired,
    WriteDenied,
)
from ate.mesh.gate import Gate, Rights
from atedb import gate as module
from atedb.gate import Limits, SoloGate
from atedb.quota import Allowance, Quota
from atedb.throttle import Rate
from atedb.tokens import Checker, TokenKey, make

KEY = TokenKey("shop", (b"k" * 32,))
ALICE, BOB = b"a" * 16, b"b" * 16
FREE, ANYTHING = Limits(), Allowance()


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 1_800_000_000.0

    def now_us(self) -> int:
        return int(self.s * 1_000_000)

    def monotonic_s(self) -> float:
        return self.s


@dataclass(frozen=True)
class Key:
    key_id: bytes


@dataclass(eq=False)
class Guest:
    peer: Key
    address: str = "192.0.2.7"
    ends: list[str] = field(default_factory=list)

    def close(self, code: str, text: str) -> None:
        self.ends.append(code)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def alice() -> Guest:
    return Guest(Key(ALICE))


def gate(
    clock: HandClock, limits: Limits = FREE, *, tokens: bool = False,
    allowance: Allowance = ANYTHING, **options: object,
) -> SoloGate:  # fmt: skip
    checker = Checker(KEY) if tokens else None
    return SoloGate(limits, clock, Quota(allowance), checker=checker, **options)  # type: ignore[arg-type]


def token(clock: HandClock, *chains: str, ops: str = "rwc", holder: bytes = ALICE) -> bytes:
    return make(KEY, chains, ops=ops, holder=holder, now_us=clock.now_us()).encode()


def test_without_tokens_everybody_may(clock: HandClock) -> None:
    one: Gate = gate(clock)
    visitor = alice()
    one.admitted(visitor)
    assert one.may_open(visitor, "notes", b"", exists=False) == Rights()
    assert one.may_submit(visitor, "notes", 100) == 0.0
    one.stored(visitor, "notes", 100)
    one.closed(visitor, "notes")
    one.closed(visitor, "notes")
    one.left(visitor)
    one.left(visitor)


# --- tokens -------------------------------------------------------------------------------------


def test_a_token_opens_its_chains_only(clock: HandClock) -> None:
    one, visitor = gate(clock, tokens=True), alice()
    given = token(clock, "notes")
    one.may_open(visitor, "notes", given, exists=True)
    with pytest.raises(AccessDenied, match="other chains than 'other'"):
        one.may_open(visitor, "other", given, exists=True)
    with pytest.raises(BadToken):
        one.may_open(visitor, "notes", b"", exists=True)
    with pytest.raises(WriteDenied):
        one.may_submit(visitor, "other", 1)


def test_rights_are_those_of_the_token(clock: HandClock) -> None:
    one, visitor = gate(clock, tokens=True), alice()
    rights = one.may_open(visitor, "notes", token(clock, "notes", ops="r"), exists=True)
    assert (rights.read, rights.write) == (True, False)
    with pytest.raises(WriteDenied):
        one.may_submit(visitor, "notes", 1)
    rights = one.may_open(visitor, "notes", token(clock, "notes", ops="rw"), exists=True)
    assert rights.write
    assert one.may_submit(visitor, "notes", 1) == 0.0


def test_a_chain_is_made_only_with_the_right_to(clock: HandClock) -> None:
    one, visitor = gate(clock, tokens=True), alice()
    for ops in ("r", "rw", "rc"):
        with pytest.raises(NotFound):
            one.may_open(visitor, "new", token(clock, "*", ops=ops), exists=False)
    one.may_open(visitor, "new", token(clock, "*"), exists=False)
    closed = gate(clock, tokens=True, create=False)
    with pytest.raises(NotFound):
        closed.may_open(visitor, "new", token(clock, "*"), exists=False)


def test_a_token_that_ends_ends_the_connection(clock: HandClock) -> None:
    one, visitor = gate(clock, tokens=True), alice()
    one.may_open(visitor, "notes", token(clock, "notes"), exists=True)
    other = Guest(Key(BOB))
    one.may_open(other, "notes", token(clock, "notes", ops="r", holder=BOB), exists=True)
    clock.s += 15 * 60 - 1
    one.sweep()
    assert not visitor.ends
    clock.s += 1
    with pytest.raises(TokenExpired):
        one.may_submit(visitor, "notes", 1)
    assert visitor.ends == [""]
    one.sweep()
    assert other.ends == [""]


def test_a_fresh_token_in_time_goes_on(clock: HandClock) -> None:
    one, visitor = gate(clock, tokens=True), alice()
    one.may_open(visitor, "notes", token(clock, "notes"), exists=True)
    clock.s += 14 * 60
    one.may_open(visitor, "notes", token(clock, "notes"), exists=True)
    clock.s += 10 * 60
    assert one.may_submit(visitor, "notes", 1) == 0.0
    one.sweep()
    assert not visitor.ends


# --- room ---------------------------------------------------------------------------------------


def open_(one: SoloGate, visitor: Guest, name: str) -> str:
    """Open a chain as a hall does, and return where it was sent."""
    url = one.may_open(visitor, name, b"", exists=True).elsewhere
    if url:
        one.closed(visitor, name)
    return url


def test_one_subscription_over_the_limit_is_sent_elsewhere(clock: HandClock) -> None:
    other = "ws://b.example.org/"
    one = gate(clock, Limits(subscriptions=2), elsewhere=lambda name: other)
    first, second = alice(), Guest(Key(BOB))
    assert [open_(one, first, "a"), open_(one, second, "a")] == ["", ""]
    assert [open_(one, second, "a"), open_(one, first, "b")] == [other, other]
    one.closed(second, "a")
    assert open_(one, first, "b") == ""
    one.left(first)
    assert [open_(one, second, "a"), open_(one, second, "a")] == ["", ""]
    assert open_(one, second, "c") == other
    one.left(second)
    assert not one._open
    assert not one._channels


def test_a_chain_on_two_channels_stays_open_when_one_is_closed(clock: HandClock) -> None:
    one, visitor = gate(clock, tokens=True), alice()
    for _ in range(2):
        one.may_open(visitor, "notes", token(clock, "notes"), exists=True)
    one.closed(visitor, "notes")
    assert one.may_submit(visitor, "notes", 1) == 0.0
    one.closed(visitor, "notes")
    with pytest.raises(WriteDenied):
        one.may_submit(visitor, "notes", 1)


def test_without_another_server_it_is_told_to_wait(clock: HandClock) -> None:
    one = gate(clock, Limits(subscriptions=1))
    one.may_open(alice(), "a", b"", exists=True)
    with pytest.raises(Throttled):
        one.may_open(alice(), "a", b"", exists=True)


def test_chains_open_at_once_are_limited(clock: HandClock) -> None:
    one, first, second = gate(clock, Limits(chains=1)), alice(), alice()
    one.may_open(first, "a", b"", exists=True)
    one.may_open(second, "a", b"", exists=True)
    with pytest.raises(Throttled):
        one.may_open(first, "b", b"", exists=True)
    one.left(first)
    with pytest.raises(Throttled):
        one.may_open(second, "b", b"", exists=True)
    one.closed(second, "a")
    one.may_open(second, "b", b"", exists=True)


# --- speed --------------------------------------------------------------------------------------


def commits(one: SoloGate, visitor: Guest, name: str, tries: int = 100) -> int:
    return sum(one.may_submit(visitor, name, 10) == 0.0 for _ in range(tries))


def test_each_connection_has_a_rate(clock: HandClock) -> None:
    one = gate(clock, Limits(connection=Rate(commits_s=10)))
    first, second = alice(), alice()
    assert commits(one, first, "a") == 20
    assert commits(one, second, "a") == 20
    clock.s += 1
    assert commits(one, first, "a") == 10
    assert one.may_open(first, "a", b"", exists=True).commits_s == 10


def test_a_chain_and_the_server_have_one_as_well(clock: HandClock) -> None:
    one = gate(clock, Limits(chain=Rate(commits_s=10), server=Rate(commits_s=15)))
    first, second = alice(), alice()
    assert commits(one, first, "a") == 20
    assert commits(one, second, "a") == 0
    assert commits(one, second, "b") == 10
    assert one.may_open(first, "a", b"", exists=True).commits_s == 10


def test_a_refusal_costs_nothing(clock: HandClock) -> None:
    one = gate(clock, Limits(connection=Rate(commits_s=1), chain=Rate(commits_s=100)))
    first = alice()
    commits(one, first, "a", 1000)
    assert sum(commits(one, alice(), "a", 2) for _ in range(120)) == 198


def test_bytes_count(clock: HandClock) -> None:
    one = gate(clock, Limits(connection=Rate(bytes_s=1000)))
    visitor = alice()
    assert one.may_submit(visitor, "a", 5000) == 0.0
    wait = one.may_submit(visitor, "a", 1)
    assert wait == pytest.approx(3.0, abs=0.01)
    clock.s += wait
    assert one.may_submit(visitor, "a", 1) == 0.0


def test_throttles_of_chains_at_rest_are_forgotten(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_MAX", 10)
    one, visitor = gate(clock, Limits(chain=Rate(commits_s=1))), alice()
    one.may_open(visitor, "c0", b"", exists=True)
    for number in range(50):
        one.may_submit(visitor, f"c{number}", 1)
    one.sweep()
    assert len(one._chains) == 50
    clock.s += 10
    one.sweep()
    assert list(one._chains) == ["c0"]


# --- quotas -------------------------------------------------------------------------------------


def test_an_owner_fills_its_quota_and_no_other(clock: HandClock) -> None:
    told: list[tuple[str, bytes]] = []
    one = gate(
        clock, allowance=Allowance(bytes=100, chains=1),
        remember=lambda name, owner: told.append((name, owner)),
    )  # fmt: skip
    first, second = alice(), Guest(Key(BOB))
    one.may_open(first, "a", b"", exists=False)
    assert one.may_submit(first, "a", 60) == 0.0
    one.stored(first, "a", 60)
    one.stored(second, "a", 20)
    assert told == [("a", ALICE)]
    with pytest.raises(LimitExceeded):
        one.may_submit(second, "a", 21)
    with pytest.raises(LimitExceeded):
        one.may_open(first, "b", b"", exists=False)
    one.may_open(second, "b", b"", exists=False)
    assert one.may_submit(second, "b", 100) == 0.0
