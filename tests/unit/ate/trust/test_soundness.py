from __future__ import annotations

from collections.abc import Callable

import pytest

from ate import limits
from ate.errors import (
    AteError,
    BadSignature,
    CorruptLog,
    LimitExceeded,
    ProtocolError,
    UnsupportedFormat,
)
from ate.event.commit import Record, SequencerPart
from ate.event.row import Kind
from ate.event.system import (
    CertificateBody,
    Checkpoint,
    Genesis,
    Grant,
    PublicKeys,
    Role,
    encode,
    system_id,
)
from ate.ids import ROOT, ObjectId
from ate.testing.forger import Forger, Line, certificate_lines, key_line
from ate.testing.stage import member
from ate.testing.tamper import ordered
from ate.trust.soundness import check_system_rows
from ate.trust.state import Trust

CHAIN = b"c" * 32
ALICE, BOB = member("alice"), member("bob")
GENESIS = Genesis("x", 2, "distributed", bytes(16), (PublicKeys.of(ALICE.public),))


def founded() -> Trust:
    trust = Trust()
    trust.chain_id = CHAIN
    trust.apply(Kind.GENESIS, bytes(16), encode(GENESIS))
    return trust


def checked(
    *lines: Line, trust: Trust | None = None, alter: Callable[[bytes], bytes] = bytes
) -> Trust:
    commit = Forger(CHAIN, BOB.own.sign).commit(*lines)
    record = Record(memoryview(ordered(commit, SequencerPart(1, 0, 0, bytes(32)))))

    def body(at: int) -> bytes:
        return alter(bytes(record.inline(record.row(at))))

    return check_system_rows(record, body, founded() if trust is None else trust)


def test_commits_of_objects_alone_change_nothing() -> None:
    trust = founded()
    assert checked(Line(ObjectId.random()), trust=trust) is trust


def test_keys_and_certificates_are_known_to_the_judges_and_not_yet_to_the_chain() -> None:
    """A commit that is refused must leave the chain as ignorant as it was."""
    trust = founded()
    learned = checked(*certificate_lines(BOB, CHAIN, 0), Line(ObjectId.random()), trust=trust)
    fast = BOB.fast(CHAIN, 0)
    assert learned.authorities(fast.key_id, 0) == {BOB.public.key_id}
    assert learned.verifier(BOB.public.key_id) is not None
    assert trust.verifier(BOB.public.key_id) is None
    assert trust.certified == {}


def test_roles_are_checked_and_count_only_when_the_commit_is_in() -> None:
    body = encode(Role("root", 2, (PublicKeys.of(BOB.public),)))
    learned = checked(Line(system_id("role", b"root"), kind=Kind.ROLE, body=body))
    assert learned.root_keys() == {ALICE.public.key_id}


def test_a_body_is_the_one_the_row_names() -> None:
    with pytest.raises(CorruptLog, match="was altered"):
        checked(key_line(BOB.own), alter=lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))


@pytest.mark.parametrize(
    "line",
    [
        Line(ObjectId(b"v" * 16), kind=Kind.KEY, body=key_line(BOB.own).body),
        Line(ObjectId(b"v" * 16), kind=Kind.CERTIFICATE,
             body=encode(CertificateBody(b"s" * 32, b"i" * 16, CHAIN, 1, b""))),
        Line(ObjectId(b"v" * 16), kind=Kind.ROLE, body=encode(Role("Staff", 1, ()))),
        Line(ObjectId(b"v" * 16), b"d" * 16, kind=Kind.GRANT,
             body=encode(Grant(b"d" * 16, 1, {b"k" * 16: bytes(1168)}))),
        Line(ObjectId(b"v" * 16), kind=Kind.GENESIS, body=encode(GENESIS)),
        Line(ObjectId(b"v" * 16), kind=Kind.CHECKPOINT, body=encode(Checkpoint(0, b"", 0, b""))),
    ],
    ids=lambda line: Kind(line.kind).name,
)  # fmt: skip
def test_a_system_row_cannot_take_the_place_of_an_object(line: Line) -> None:
    """Self-certifying rows need nobody's leave: they must not be able to stand just anywhere."""
    with pytest.raises(ProtocolError, match="does not stand under its own id"):
        checked(line)


@pytest.mark.parametrize("field", ["epoch", "codec", "schema"])
def test_system_rows_are_plain(field: str) -> None:
    line = key_line(BOB.own)
    said = {"epoch": 0, "codec": 0, "schema": 0} | {field: 1}
    other = Line(
        line.id, kind=line.kind, body=line.body,
        epoch=said["epoch"], codec=said["codec"], schema=said["schema"],
    )  # fmt: skip
    with pytest.raises(ProtocolError, match="sealed or encoded"):
        checked(other)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind >= Kind.GENESIS])
def test_garbage_is_refused_before_it_can_be_folded_in(kind: Kind) -> None:
    with pytest.raises(ProtocolError):
        checked(Line(system_id("checkpoint", b""), kind=kind, body=b"\xc1"))


def test_a_certificate_that_does_not_verify_is_refused() -> None:
    body = encode(CertificateBody(b"s" * 32, ALICE.public.key_id, CHAIN, 1, bytes(3373)))
    name = system_id("certificate", b"s" * 32 + ALICE.public.key_id)
    with pytest.raises(BadSignature):
        checked(Line(name, kind=Kind.CERTIFICATE, body=body))


def test_certificates_have_a_bound() -> None:
    """Each costs a composite verification, and nobody has been judged yet."""
    lines = [Line(ObjectId.random(), kind=Kind.CERTIFICATE)] * (limits.COMMIT_CERTIFICATES_MAX + 1)
    with pytest.raises(LimitExceeded, match="certificates"):
        checked(*lines)


GOOD = {b"k" * 16: bytes(1168)}


@pytest.mark.parametrize(
    "grant",
    [
        Grant(b"x" * 16, 1, GOOD),
        Grant(b"d" * 16, 65_536, GOOD),
        Grant(b"d" * 16, 1, {}),
        Grant(b"d" * 16, 1, GOOD, b"past"),
        Grant(b"d" * 16, 2, GOOD),
        Grant(b"d" * 16, 2, GOOD, bytes(47)),
        Grant(b"d" * 16, 1, {b"short": bytes(1168)}),
        Grant(b"d" * 16, 1, {b"k" * 16: bytes(1167)}),
        Grant(b"d" * 16, 1, {**GOOD, b"l" * 16: b""}),
    ],
)
def test_a_grant_is_whole(grant: Grant) -> None:
    with pytest.raises(ProtocolError):
        checked(Line(system_id("grant", b"d" * 16), b"d" * 16, kind=Kind.GRANT, body=encode(grant)))


def test_whole_grants_pass() -> None:
    for grant in (Grant(b"d" * 16, 1, GOOD), Grant(b"d" * 16, 3, GOOD, bytes(80))):
        line = Line(system_id("grant", b"d" * 16), b"d" * 16, kind=Kind.GRANT, body=encode(grant))
        assert checked(line).chain_id == CHAIN


def central(sequencers: object, **changed: object) -> Genesis:
    """Return the first row of a chain that names these sequencers."""
    told = {"mode": "centralized", "roots": GENESIS.roots, **changed}
    return Genesis("x", 0 if not told["roots"] else 2, salt=bytes(16),
                   policy={"sequencers": sequencers}, **told)  # type: ignore[arg-type]  # fmt: skip


def test_a_centralized_chain_names_its_sequencers() -> None:
    line = Line(ROOT, kind=Kind.GENESIS, body=encode(central([bytes(32), b"\x01" * 32])))
    checked(line, trust=Trust())


@pytest.mark.parametrize(
    "genesis, error",
    [
        (GENESIS, None),
        (Genesis("x", 3, "distributed", b""), UnsupportedFormat),
        (Genesis("x", -1, "distributed", b""), UnsupportedFormat),
        (Genesis("x", 2, "anarchic", b""), UnsupportedFormat),
        (Genesis("y", 2, "distributed", bytes(16), GENESIS.roots), ProtocolError),
        (central([bytes(32)], mode="distributed"), ProtocolError),
        (central([bytes(32)], roots=()), ProtocolError),
        (central([b"short"]), ProtocolError),
        (central(["x" * 32]), ProtocolError),
        (central({"a": 1}), ProtocolError),
    ],
)
def test_a_chain_is_founded_once_in_a_form_that_is_known(
    genesis: Genesis, error: type[AteError] | None
) -> None:
    line = Line(ROOT, kind=Kind.GENESIS, body=encode(genesis))
    if error is None:
        checked(line)
        return
    with pytest.raises(error):
        checked(line)
    if error is UnsupportedFormat:
        with pytest.raises(error):
            checked(line, trust=Trust())
