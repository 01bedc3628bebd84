from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ate import limits, merkle
from ate.crypto.hash import derive, digest
from ate.crypto.sign import FastVerifyKey, VerifyKey
from ate.errors import AteError, Forked, LimitExceeded, ProtocolError, TrustError, UnsupportedFormat
from ate.event.commit import leaf_of
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import (
    MAGIC,
    Commit,
    Contradiction,
    Evidence,
    Replaced,
    Rewritten,
    Shrunk,
    Split,
    decode,
    encode,
    judge,
    roots_of,
)
from ate.mesh.tree import continuation
from ate.testing.spokesman import CHAIN, Spokesman, Story

OURS, THEIRS = Story(("common", 5), ("ours", 8)), Story(("common", 5), ("theirs", 8))
SERVER = Spokesman()


def split() -> Evidence:
    return Split(SERVER.say(OURS).encode(), SERVER.say(THEIRS).encode())


def shrunk() -> Evidence:
    first = SERVER.say(OURS, 9)
    return Shrunk(first.encode(), SERVER.say(OURS, 8, answers=first.hash).encode())


def rewritten(old: int = 8, size: int = 13) -> Evidence:
    path = continuation(OURS, old, size)
    return Rewritten(SERVER.say(THEIRS, old).encode(), SERVER.say(OURS, size).encode(), path)


def replaced(index: int = 6) -> Evidence:
    first, second, mine = SERVER.say(OURS, 8), SERVER.say(THEIRS), OURS.commits[index]
    path = OURS.inclusion(index, 8)
    return Replaced(
        first.encode(), second.encode(),
        Commit(mine.commit_root, mine.first_seq, mine.time_us, index, path),
        THEIRS.leaves[index], THEIRS.inclusion(index, 13),
    )  # fmt: skip


ALL = {"split": split, "shrunk": shrunk, "rewritten": rewritten, "replaced": replaced}


@pytest.mark.parametrize("kind", ALL)
def test_it_holds_and_names_who_and_what(kind: str) -> None:
    found = judge(decode(encode(ALL[kind]())))
    assert found.kind == kind
    assert found.server == SERVER.key
    assert found.what.startswith("it signed")
    assert found.first.chain_id == found.second.chain_id == CHAIN
    assert len(encode(ALL[kind]())) < limits.EVIDENCE_BYTES_MAX


@pytest.mark.parametrize("old", range(6, 13))
def test_a_rewriting_is_shown_at_every_size(old: int) -> None:
    assert judge(rewritten(old)).first.size == old


@pytest.mark.parametrize(
    "evidence, words",
    [
        (Split(SERVER.say(OURS).encode(), SERVER.say(OURS).encode()), "agree"),
        (Split(SERVER.say(OURS, 8).encode(), SERVER.say(OURS).encode()), "agree"),
        (Shrunk(SERVER.say(OURS).encode(), SERVER.say(OURS, 9).encode()), "not answer"),
        (Rewritten(SERVER.say(OURS, 8).encode(), SERVER.say(OURS).encode(),
                   continuation(OURS, 8, 13)), "begins with"),
        (Rewritten(SERVER.say(THEIRS, 8).encode(), SERVER.say(OURS).encode(),
                   continuation(THEIRS, 8, 13)), "lead to"),
        (Rewritten(SERVER.say(THEIRS, 8).encode(), SERVER.say(OURS).encode(), ()), "length"),
        (Rewritten(SERVER.say(OURS).encode(), SERVER.say(OURS, 8).encode(), ()), "larger"),
        (Split(SERVER.say(OURS).encode(), Spokesman(2).say(THEIRS).encode()), "two servers"),
        (Split(SERVER.say(OURS).encode(), SERVER.say(THEIRS, chain_id=digest(b"")).encode()),
         "two chains"),
    ],
)  # fmt: skip
def test_what_proves_nothing(evidence: Evidence, words: str) -> None:
    with pytest.raises(TrustError, match=f"proves nothing.*{words}"):
        judge(evidence)


def test_a_growing_chain_that_answers_has_not_shrunk() -> None:
    first = SERVER.say(OURS, 8)
    for size in (8, 9):
        later = SERVER.say(OURS, size, answers=first.hash)
        with pytest.raises(TrustError, match="grew"):
            judge(Shrunk(first.encode(), later.encode()))


def test_a_commit_that_is_where_it_was_proves_nothing() -> None:
    for index in (2, 4):
        with pytest.raises(TrustError, match="where it was"):
            judge(replaced(index))


def test_paths_of_another_length() -> None:
    path = continuation(OURS, 5, 13)
    for wrong in ((), path[:-1], (*path, path[0])):
        with pytest.raises(TrustError, match="another length"):
            roots_of(5, 13, wrong)


@pytest.mark.parametrize(
    "raw, error",
    [
        (b"", UnsupportedFormat),
        (b"ATEEVD2\n\x90", UnsupportedFormat),
        (MAGIC, ProtocolError),
        (MAGIC + b"\x93\x09\xc4\x00\xc4\x00", ProtocolError),
        (MAGIC + b"\x91" * 5000, ProtocolError),
        (MAGIC + bytes(limits.EVIDENCE_BYTES_MAX), LimitExceeded),
        (encode(shrunk()) + b"\0", ProtocolError),
        (MAGIC + msgspec.msgpack.encode([2, b"", b"", 1]), ProtocolError),
        (MAGIC + msgspec.msgpack.encode([3, b"", b"", [bytes(32)] * 129]), ProtocolError),
        (MAGIC + msgspec.msgpack.encode([3, b"", b"", [bytes(31)]]), ProtocolError),
    ],
)  # fmt: skip
def test_what_is_no_evidence(raw: bytes, error: type[AteError]) -> None:
    with pytest.raises(error):
        decode(raw)


def test_statements_in_it_that_are_none() -> None:
    with pytest.raises(UnsupportedFormat):
        judge(Split(b"x", b"y"))


def test_an_error_says_whether_others_can_be_shown() -> None:
    assert "keep the evidence" in Contradiction("x", split()).hint
    assert "nothing that the server signed" in Contradiction("x").hint
    assert Contradiction("x").code == Forked.code


# --- the frozen vectors of docs/spec/evidence.md --------------------------------------------------

VECTORS = json.loads(
    (Path(__file__).resolve().parents[3] / "vectors/trust/statements.json").read_text()
)


def cases(part: str) -> list[Any]:
    return [pytest.param(one, id=one["name"]) for one in VECTORS[part]]


@pytest.mark.parametrize("case", cases("valid"))
def test_evidence_of_before_still_holds(case: dict[str, Any]) -> None:
    found = judge(decode(bytes.fromhex(case["file"])))
    assert (found.kind, found.server.key_id.hex()) == (case["kind"], case["server"])


@pytest.mark.parametrize("case", cases("invalid"))
def test_evidence_that_never_held(case: dict[str, Any]) -> None:
    with pytest.raises(AteError) as found:
        judge(decode(bytes.fromhex(case["file"])))
    assert found.value.code == case["error"]


@pytest.mark.parametrize("case", VECTORS["statements"])
def test_a_statement_by_hand(case: dict[str, Any]) -> None:
    """The specification is enough."""
    raw = bytes.fromhex(case["statement"])
    assert raw[:8] == b"ATESTA1\n"
    *said, certificate, signature = msgspec.msgpack.decode(raw[8:])
    chain_id, size, root, head, time_us, epoch, answers = said
    subject, issuer, from_us, until_us, by_issuer = certificate
    numbers = [number.to_bytes(8, "little") for number in (size, head, time_us, epoch)]
    message = b"".join((chain_id, numbers[0], root, *numbers[1:], issuer, answers))
    assert message.hex() == case["message"]
    assert derive("ate head statement", message).hex() == case["hash"]
    assert (size, root.hex()) == (case["size"], case["root"])
    FastVerifyKey(subject).verify(signature, message, b"ate/server head/1")
    span = from_us.to_bytes(8, "little") + until_us.to_bytes(8, "little")
    VerifyKey(issuer).verify(by_issuer, subject + issuer + span, b"ate/server certificate/1")
    assert from_us <= time_us <= until_us


def test_an_acknowledgement_by_hand() -> None:
    case = VECTORS["acknowledgement"]
    raw = bytes.fromhex(case["file"])
    assert raw[:8] == b"ATERCP1\n"
    statement, (root, first_seq, time_us, index, path) = msgspec.msgpack.decode(raw[8:])
    said = msgspec.msgpack.decode(statement[8:])
    leaf = leaf_of(root, first_seq, time_us)
    assert leaf.hex() == VECTORS["leaves"]["ours"][index]
    merkle.verify_inclusion(leaf, index, said[1], path, said[2])
    assert index == case["index"]
    Acknowledged.decode(raw).check()
