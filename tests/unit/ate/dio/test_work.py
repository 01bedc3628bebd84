from __future__ import annotations

import msgspec
import pytest

from ate.crypto.entropy import SeededEntropy
from ate.dio.work import Work
from ate.errors import AteError, CannotOpen, ProtocolError
from ate.event.draft import Draft
from ate.event.header import Header
from ate.session import Session
from ate.testing.stage import member

ALICE = member("alice")
DRAFTS = [
    Draft(1, bytes(15) + b"\1", bytes(16), 2, 3, 4, 5, 1, b"body", Header(reply=bytes(16)), True),
    Draft(2, bytes(15) + b"\2", bytes(16), 0, 9, 9, 5, 0, b""),
]


@pytest.mark.parametrize("session", [ALICE, None])
def test_what_was_committed_comes_back(session: Session | None) -> None:
    work = Work(1 << 41, DRAFTS, 77)
    sealed = work.seal(session, SeededEntropy(1))
    assert (b"body" in sealed) == (session is None)
    found = Work.open(sealed, session)
    assert (found.first, found.time_us) == (1 << 41, 77)
    for one, two in zip(found.drafts, DRAFTS, strict=True):
        for name in Draft.__slots__ if hasattr(Draft, "__slots__") else vars(two):
            if name != "against":
                assert getattr(one, name) == getattr(two, name)


def test_only_who_committed_it_reads_it() -> None:
    sealed = Work(1 << 41, DRAFTS, 77).seal(ALICE, SeededEntropy(1))
    for wrong in (None, member("bob")):
        with pytest.raises(CannotOpen):
            Work.open(sealed, wrong)
    for at in (5, 20, len(sealed) - 1):
        damaged = bytearray(sealed)
        damaged[at] ^= 1
        with pytest.raises(AteError):
            Work.open(bytes(damaged), ALICE)


def test_what_is_no_work_is_told() -> None:
    with pytest.raises(ProtocolError, match="does not decode"):
        Work.open(b"\0garbage", None)
    with pytest.raises(ProtocolError, match="version 9"):
        Work.open(b"\0" + msgspec.msgpack.encode([9, b"", 1, 1, b"", []]), None)
