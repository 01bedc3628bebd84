from __future__ import annotations

from datetime import UTC, datetime

import pytest

import ate
from ate import merkle
from ate.dio.receipt import Proof, moment
from ate.errors import TrustError
from ate.event.commit import Record
from ate.testing.simclock import START_US, SimClock
from ate.testing.stage import member


async def test_a_receipt_says_where_and_when() -> None:
    async with ate.open("r", memory=True, clock=SimClock()) as chain:
        dio = chain.dio()
        daos = [dio.store(number) for number in range(3)]
        receipt = await dio.commit()
        assert receipt.seq == daos[0].seq == 2
        assert [dao.seq for dao in daos] == [2, 3, 4]
        assert receipt.time == datetime(2026, 1, 1, tzinfo=UTC)
        assert receipt.chain_root == chain.root
        dio.store(4)
        second = await dio.commit()
        assert (second.seq, second.lsn) == (5, receipt.lsn + 1)
        assert receipt.chain_root != second.chain_root == chain.root, "a receipt keeps its own root"


async def test_the_seq_is_that_of_the_objects_not_of_the_keys_that_come_along() -> None:
    async with ate.open("r", memory=True, session=member("alice")) as chain:
        dio = chain.dio()
        dao = dio.store(1)
        receipt = await dio.commit()
        assert receipt.seq == dao.seq == chain.head > 2


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
async def test_every_proof_leads_to_the_root_and_to_no_other(count: int) -> None:
    async with ate.open("r", memory=True) as chain:
        receipts = []
        for number in range(count):
            dio = chain.dio()
            dio.store(number)
            receipts.append(await dio.commit())
        records = [Record(payload) for _, payload in chain._ledger.store.scan(0)]
        leaves = [record.leaf for record in records]
        for index, receipt in enumerate(receipts, 1):
            proof = receipt.proof()
            proof.check(receipt.chain_root)
            assert receipt.chain_root == merkle.root(leaves[: index + 1])
            assert (proof.index, proof.size) == (index, index + 1)
            for wrong in receipts:
                if wrong is not receipt:
                    with pytest.raises(TrustError):
                        proof.check(wrong.chain_root)


async def test_a_proof_of_something_else_is_refused() -> None:
    async with ate.open("r", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store(1)
        dio.store(2)
        receipt = await dio.commit()
        proof = receipt.proof()
        parts = {name: getattr(proof, name) for name in Proof.__slots__}
        for name, wrong in (
            ("commit_root", bytes(32)), ("first_seq", proof.first_seq + 1),
            ("time_us", proof.time_us + 1), ("index", proof.index - 1),
        ):  # fmt: skip
            with pytest.raises(TrustError):
                Proof(**{**parts, name: wrong}).check(receipt.chain_root)


def test_moments_are_aware() -> None:
    assert moment(START_US) == datetime(2026, 1, 1, tzinfo=UTC)
    assert moment(0).year == 1970
