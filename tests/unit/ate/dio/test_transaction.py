from __future__ import annotations

from tests.unit.ate.dio.test_moving import transaction

import ate
from ate.dio.transaction import Waiting


async def test_only_sealed_bytes_are_left_of_a_blind_one() -> None:
    one = transaction(1)
    assert not one.is_blind
    one.first = -1
    assert one.is_blind


async def test_where_a_commit_landed() -> None:
    async with ate.open("c", memory=True) as chain:
        dio = chain.dio()
        dio.store("x")
        receipt = await dio.commit()
        dio = chain.dio()
        dao = dio.store("y")
        landed = await chain._writer.submit(
            [dio._draft(dao, overwrite=False)], None, ate.FULL, None
        )
    assert landed.seq == receipt.seq + 1
    assert landed.time_us >= receipt.time_us
    assert landed.signer == b"" or len(landed.signer) == 16 or len(landed.signer) == 32
    made = landed.receipt()
    assert made.seq == landed.seq
    assert not made.is_pending
    made.proof().check(made.chain_root)


def test_a_commit_that_waits_has_no_proof() -> None:
    receipt = Waiting(1 << 41, 5).receipt()
    assert receipt.is_pending
    assert (receipt.seq, receipt.time_us) == (0, 5)
