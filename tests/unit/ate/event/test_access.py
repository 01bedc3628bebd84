from __future__ import annotations

from typing import Any as AnyValue

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.errors import LimitExceeded, ProtocolError, UsageError
from ate.event.access import (
    Access,
    Any,
    Everyone,
    Inherit,
    Nobody,
    Only,
    Principal,
    check_role_name,
    key_id_of,
)
from ate.testing.stage import member

ALICE, BOB = member("alice").public, member("bob").public

WHO = st.one_of(
    st.sampled_from([ALICE, BOB]),
    st.binary(min_size=16, max_size=16),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
NAMED = st.lists(WHO, min_size=1, max_size=6)
READ = st.one_of(st.sampled_from([Everyone, Inherit]), NAMED.map(lambda who: Only(*who)))
WRITE = st.one_of(st.sampled_from([Everyone, Inherit, Nobody]), NAMED.map(lambda who: Any(*who)))


@given(READ, WRITE)
def test_a_rule_survives_the_wire(read: AnyValue, write: AnyValue) -> None:
    access = Access(read, write)
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(access.encode()))
    assert Access.decode(wire) == access
    assert Access.decode(wire).encode() == access.encode()


@given(
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.binary(max_size=20), st.text(max_size=9)
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=2)
        ),
        max_leaves=8,
    )
)
def test_anything_else_is_a_protocol_error(raw: object) -> None:
    try:
        Access.decode(raw)
    except ProtocolError:
        return
    assert isinstance(raw, list)
    assert len(raw) == 2


@pytest.mark.parametrize(
    "raw",
    [
        None, [], ["everyone"], ["everyone", "everyone", "everyone"], ["nobody", "inherit"],
        ["everyone", "somebody"], [[], "inherit"], ["inherit", [b"short"]], [[""], "inherit"],
        [["x" * 257], "inherit"], ["inherit", [b"k" * 16] * 1025], [{}, "inherit"],
        ["inherit", [[]]],
    ],
)  # fmt: skip
def test_bad_rules_are_refused(raw: object) -> None:
    with pytest.raises(ProtocolError):
        Access.decode(raw)


def test_a_rule_names_somebody() -> None:
    for rule in (Only, Any):
        with pytest.raises(UsageError, match="names nobody"):
            rule()
        with pytest.raises(UsageError, match="principals, key ids or roles"):
            rule(b"too short")
        with pytest.raises(UsageError, match="principals, key ids or roles"):
            rule(7)  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded):
        Only(*[bytes(16)] * 1025)


@pytest.mark.parametrize("name", ["", "x" * 257, "\ud800"])
def test_a_role_s_name_can_be_written_down(name: str) -> None:
    with pytest.raises(UsageError):
        check_role_name(name)
    with pytest.raises(UsageError):
        Any(name)


def test_rules_are_compared_by_whom_they_name() -> None:
    assert Only(ALICE, "Staff") == Only("Staff", ALICE.key_id)
    assert hash(Only(ALICE, "Staff")) == hash(Only("Staff", ALICE.key_id))
    assert Only(ALICE) != Only(BOB)
    assert Only(ALICE) != "alice"


def test_reading_and_writing_have_their_own_words() -> None:
    assert Access() == Access(Inherit, Inherit)
    for wrong in (Nobody, Any(ALICE)):
        with pytest.raises(UsageError, match="read rule"):
            Access(read=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="write rule"):
        Access(write=Only(ALICE))  # type: ignore[arg-type]


def test_the_principals_of_both_rules_are_published_once() -> None:
    access = Access(Only(ALICE, "Staff"), Any(ALICE, BOB, bytes(16)))
    assert access.principals() == (ALICE, BOB)
    assert Access(Everyone, Nobody).principals() == ()


def test_rules_are_readable() -> None:
    assert repr(Access(Everyone, Nobody)) == "Access(read=Everyone, write=Nobody)"
    assert repr(Any(ALICE, "Staff")) == f"Any({ALICE.key_id.hex()[:8]}, Staff)"


def test_a_principal_is_named_by_its_signing_key() -> None:
    assert ALICE.key_id == key_id_of(ALICE.sign, ALICE.seal)
    assert (
        len({key_id_of(one.sign, other.seal) for one in (ALICE, BOB) for other in (ALICE, BOB)})
        == 4
    )
    assert len(ALICE.key_id) == 16
    assert repr(Principal("alice", b"s", b"k")) == "Principal(identity='alice')"
