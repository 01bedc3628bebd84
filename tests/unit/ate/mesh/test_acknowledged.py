from __future__ import annotations

import msgspec
import pytest

import ate
from ate import limits
from ate.errors import (
    AteError,
    LimitExceeded,
    ProtocolError,
    TrustError,
    UnsupportedFormat,
    UntrustedRoot,
    UsageError,
)
from ate.mesh.acknowledged import MAGIC, Acknowledged
from ate.mesh.tree import ViewTree
from ate.testing.spokesman import START_US, Spokesman, Story
from ate.trust.attest import StatementSigner

OURS = Story(("ours", 9))
SERVER = Spokesman()


def kept(index: int = 3) -> Acknowledged:
    return Acknowledged.of(OURS.commits[index], SERVER.say(OURS), OURS)


@pytest.mark.parametrize("index", range(9))
def test_it_is_kept_and_checked_without_anything_else(index: int) -> None:
    raw = kept(index).encode()
    assert len(raw) < limits.EVIDENCE_BYTES_MAX
    found = Acknowledged.decode(raw)
    assert found.check(SERVER.key).size == 9
    assert found.commit.leaf == OURS.leaves[index]


def test_a_statement_from_before_the_commit_does_not_cover_it() -> None:
    with pytest.raises(UsageError, match="covers 3 commits") as found:
        Acknowledged.of(OURS.commits[3], SERVER.say(OURS, 3), OURS)
    assert "next statement" in found.value.hint


def test_a_statement_of_another_history_does_not_cover_it() -> None:
    with pytest.raises(TrustError):
        Acknowledged.of(OURS.commits[3], SERVER.say(Story(("theirs", 9))), OURS)


def test_of_whom_it_must_be() -> None:
    kept().check()
    with pytest.raises(UntrustedRoot):
        kept().check(Spokesman(2).key)


def test_another_commit_is_not_covered() -> None:
    other = OURS.commits[4]
    commit = msgspec.structs.replace(kept().commit, root=other.commit_root)
    with pytest.raises(TrustError):
        msgspec.structs.replace(kept(), commit=commit).check()


@pytest.mark.parametrize(
    "raw, error",
    [
        (b"", UnsupportedFormat),
        (b"ATERCP2\n", UnsupportedFormat),
        (MAGIC + b"\x92", ProtocolError),
        (kept().encode() + b"\0", ProtocolError),
        (MAGIC + bytes(limits.EVIDENCE_BYTES_MAX), LimitExceeded),
    ],
)
def test_what_is_none(raw: bytes, error: type[AteError]) -> None:
    with pytest.raises(error):
        Acknowledged.decode(raw)


async def test_the_receipt_of_a_real_commit() -> None:
    async with ate.open("c", memory=True) as chain:
        receipts = []
        for number in range(4):
            dio = chain.dio()
            dio.store({"n": number})
            receipts.append(await dio.commit())
        view = chain._ledger.view
        signer = StatementSigner(ate.Session.new("server").own.sign)
        frontier = view.frontier
        statement = signer.sign(
            view.trust.chain_id, frontier.size, frontier.root(), view.head, now_us=START_US
        )
        for receipt in receipts:
            made = Acknowledged.of(receipt.proof(), statement, ViewTree(view))
            assert made.commit.root == receipt.commit_root
            Acknowledged.decode(made.encode()).check(signer.server)
