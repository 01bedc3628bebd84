from __future__ import annotations

import msgspec
import pytest

from ate.chain.form import check_form, check_rows
from ate.crypto.sign import FastKey, SigningKey
from ate.errors import BadSignature
from ate.event.access import Access, Everyone
from ate.event.commit import SIGN_CONTEXT, Record, SequencerPart
from ate.event.header import Header
from ate.event.row import FLAG_ACCESS, FLAG_HEADER, Kind
from ate.event.system import CertificateBody, PublicKeys, decode, system_id
from ate.ids import ObjectId
from ate.session import KeyPair
from ate.testing.forger import Forger, Line, certificate_lines, key_line, pack, ruled
from ate.testing.stage import member
from ate.testing.tamper import ordered

ALICE, CHAIN = member("alice"), b"c" * 32
LINE = Line(ObjectId(b"o" * 16), body=b"body", epoch=3, created=9)


def record_of(forger: Forger, *lines: Line) -> Record:
    commit = forger.commit(*lines)
    return Record(memoryview(ordered(commit, SequencerPart(1, 1, 0, bytes(32)))))


def test_what_it_makes_is_in_form() -> None:
    record = record_of(Forger(CHAIN, seen_seq=4), LINE)
    check_form(record)
    check_rows(record)
    row = record.row(0)
    assert (row.id, row.epoch, row.created, row.flags) == (LINE.id, 3, 9, 0)
    assert bytes(record.inline(row)) == b"body"
    assert (record.author.seen_seq, record.author.suite, record.signature) == (4, 0, b"")


def test_commits_are_numbered() -> None:
    forger = Forger(CHAIN)
    origins = [record_of(forger, LINE).author.origin for _ in range(3)]
    assert [(one.lsn, one.prev) for one in origins] == [(1, 0), (2, 1), (3, 2)]


@pytest.mark.parametrize("key", [ALICE.own, ALICE.own.sign, FastKey.from_seed(bytes(32))])
def test_it_signs_with_what_it_has(key: KeyPair | SigningKey | FastKey) -> None:
    record = record_of(Forger(CHAIN, key), LINE)
    public = key.public if isinstance(key, FastKey) else ALICE.own.sign.public
    assert record.author.suite == (2 if isinstance(key, FastKey) else 1)
    public.verify(record.signature, record.root, SIGN_CONTEXT)
    with pytest.raises(BadSignature):
        public.verify(record.signature, bytes(32), SIGN_CONTEXT)
    assert (record.author.key_id == ALICE.own.key_id) is (key is ALICE.own)


def test_it_says_what_it_is_told() -> None:
    commit = Forger(CHAIN, suite=9).commit(
        LINE, rare=b"rare", signature=b"mine", key_id=b"k" * 16, flags=3, version=7
    )
    author = commit.author
    assert (author.suite, author.flags, author.version, author.key_id) == (9, 3, 7, b"k" * 16)
    assert (commit.rare, commit.signature) == (b"rare", b"mine")


def test_flags_follow_the_header_unless_they_are_given() -> None:
    lines = (
        ruled(LINE, Access(read=Everyone)),
        Line(LINE.id, header=Header(author="x")),
        Line(LINE.id, header=Header(author="x"), flags=64),
    )
    flags = [line.head()[1] for line in lines]
    assert flags == [FLAG_HEADER | FLAG_ACCESS, FLAG_HEADER, 64]


def test_introductions() -> None:
    lines = certificate_lines(ALICE, CHAIN, 0)
    assert [line.kind for line in lines] == [Kind.KEY, Kind.CERTIFICATE]
    assert lines[0] == key_line(ALICE.own)
    assert decode(PublicKeys, lines[0].body).principal == ALICE.public
    certificate = decode(CertificateBody, lines[1].body)
    assert lines[1].id == system_id("certificate", certificate.subject + certificate.issuer)


def test_pack_is_messagepack() -> None:
    assert msgspec.msgpack.decode(pack({"a": [1]})) == {"a": [1]}
