from __future__ import annotations

import gc

import ate
from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.listing import Listings
from ate.errors import Compacted
from ate.event.commit import Record


async def test_lists_name_the_newest_rows() -> None:
    async with ate.open("m", memory=True) as chain:
        dio = chain.dio()
        kept, changed, gone = (dio.store({"n": n}) for n in range(3))
        await dio.commit()
        view = chain._ledger.view
        before = view.index.all()
        listing = view.listings.add(before)
        assert listing == before
        changed.value = {"n": "new"}
        dio.delete(gone.id)
        await dio.commit()
        view.listings.renew(view.find, view.index)
        assert [seq & SEQ_MASK for seq in listing[:2]] == [kept.seq, changed.seq]
        assert listing[2] & DEAD
        assert len(view.listings.add([])) == 0

        def find(seq: int) -> tuple[Record, int]:
            raise Compacted(f"row {seq}")

        listing[1] = before[1]
        view.listings.renew(find, view.index)
        assert listing[1] == DEAD


def test_lists_are_not_kept_alive() -> None:
    listings = Listings()
    listings.add([1, 2, 3])
    gc.collect()
    assert not len(listings._all)
