from __future__ import annotations

import msgspec
import pytest

from ate import limits
from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import digest
from ate.crypto.sign import SigningKey
from ate.errors import (
    AteError,
    BadSignature,
    LimitExceeded,
    ProtocolError,
    UnsupportedFormat,
    UntrustedRoot,
    UsageError,
)
from ate.trust.attest import KEY_DAYS, MAGIC, HeadStatement, StatementSigner

CHAIN, ROOT, SEEN = digest(b"chain"), digest(b"root"), digest(b"seen")
NOW_US = 1_800_000_000_000_000
DAY_US = 86_400_000_000


def signer(seed: int = 1) -> StatementSigner:
    entropy = SeededEntropy(seed)
    return StatementSigner(SigningKey.generate(entropy), entropy=entropy)


def said(now_us: int = NOW_US) -> HeadStatement:
    return signer().sign(CHAIN, 7, ROOT, 70, now_us=now_us, epoch=2, answers=SEEN)


def test_a_statement_is_read_and_believed() -> None:
    statement = said()
    raw = statement.encode()
    assert len(raw) < limits.STATEMENT_BYTES_MAX
    found = HeadStatement.decode(memoryview(raw))
    assert found == statement
    assert (found.size, found.root, found.head, found.epoch) == (7, ROOT, 70, 2)
    found.verify()
    found.verify(signer().server)
    assert "7 commits" in repr(found)


def test_its_hash_is_of_what_is_said_and_by_whom() -> None:
    one, other = signer(), signer()
    first = one.sign(CHAIN, 7, ROOT, 70, now_us=NOW_US)
    later = other.sign(CHAIN, 1, ROOT, 1, now_us=NOW_US + 8 * DAY_US)
    again = other.sign(CHAIN, 7, ROOT, 70, now_us=NOW_US)
    assert first.certificate != again.certificate
    assert first.hash == again.hash != later.hash
    assert first.hash != signer(2).sign(CHAIN, 7, ROOT, 70, now_us=NOW_US).hash
    assert first.hash != one.sign(CHAIN, 7, ROOT, 70, now_us=NOW_US, answers=SEEN).hash


def test_one_fast_key_serves_for_days_and_then_another_or_when_the_clock_goes_back() -> None:
    made = signer()
    keys = [
        made.sign(CHAIN, 1, ROOT, 1, now_us=NOW_US + days * DAY_US).certificate.subject
        for days in (0, 1, KEY_DAYS, KEY_DAYS + 1, 0)
    ]
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_another_server_is_not_believed() -> None:
    with pytest.raises(UntrustedRoot, match="not of"):
        said().verify(signer(2).server)


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": SEEN}, {"size": 8}, {"root": SEEN}, {"head": 71}, {"time_us": NOW_US + 1},
        {"epoch": 3}, {"answers": b""}, {"answers": ROOT}, {"signature": bytes(64)},
    ],
)  # fmt: skip
def test_nothing_of_it_can_be_changed(change: dict[str, object]) -> None:
    with pytest.raises(BadSignature):
        msgspec.structs.replace(said(), **change).verify()


@pytest.mark.parametrize("days", [-1, KEY_DAYS + 1])
def test_a_key_speaks_only_while_it_is_certified(days: int) -> None:
    made = signer()
    first = made.sign(CHAIN, 1, ROOT, 1, now_us=NOW_US)
    other = made.sign(CHAIN, 1, ROOT, 1, now_us=NOW_US + days * DAY_US)
    with pytest.raises(BadSignature, match="for that time"):
        msgspec.structs.replace(other, certificate=first.certificate).verify()


def test_a_certificate_of_somebody_else_does_not_help() -> None:
    statement, other = said(), signer(2).sign(CHAIN, 7, ROOT, 70, now_us=NOW_US)
    mixed = msgspec.structs.replace(other.certificate, subject=statement.certificate.subject)
    with pytest.raises(BadSignature):
        msgspec.structs.replace(statement, certificate=mixed).verify()


def test_every_flipped_byte_is_found() -> None:
    raw = said().encode()
    for at in [*range(300), *range(300, len(raw), 41), *range(len(raw) - 70, len(raw))]:
        broken = bytearray(raw)
        broken[at] ^= 1
        with pytest.raises(AteError):
            HeadStatement.decode(broken).verify(signer().server)


@pytest.mark.parametrize(
    "raw, error",
    [
        (b"", UnsupportedFormat),
        (b"ATESTA2\n\x90", UnsupportedFormat),
        (MAGIC, ProtocolError),
        (MAGIC + b"\x90", ProtocolError),
        (MAGIC + b"\x91" * 5000, ProtocolError),
        (MAGIC + bytes(limits.STATEMENT_BYTES_MAX), LimitExceeded),
        (said().encode() + b"\0", ProtocolError),
        (said().encode()[:-1], ProtocolError),
    ],
)  # fmt: skip
def test_what_is_no_statement(raw: bytes, error: type[AteError]) -> None:
    with pytest.raises(error):
        HeadStatement.decode(raw)


def test_forms_that_are_not_the_only_one() -> None:
    statement = said()
    fields = msgspec.structs.astuple(statement)
    for raw in (
        msgspec.msgpack.encode([*fields, 1]),
        msgspec.msgpack.encode(msgspec.structs.replace(statement, answers=b"short")),
        msgspec.msgpack.encode(msgspec.structs.replace(statement, time_us=1 << 62)),
    ):
        with pytest.raises(ProtocolError):
            HeadStatement.decode(MAGIC + raw)


@pytest.mark.parametrize(
    "change", [{"chain_id": b"x"}, {"root": b""}, {"answers": b"x"}, {"size": -1}, {"now_us": -1}]
)
def test_what_cannot_be_said(change: dict[str, object]) -> None:
    given = {"chain_id": CHAIN, "size": 1, "root": ROOT, "head": 1, "now_us": NOW_US} | change
    with pytest.raises(UsageError):
        signer().sign(**given)  # type: ignore[arg-type]
