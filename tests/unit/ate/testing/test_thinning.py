from __future__ import annotations

import ate
from ate.crypto.hash import digest_many
from ate.event.row import PLACE_BODY_FILE
from ate.event.thinned import decode_record
from ate.testing.thinning import Kept, encode_thinned, rows_siblings


async def test_a_commit_thinned_by_hand_is_the_one_that_was_signed() -> None:
    async with ate.open("t", memory=True) as chain:
        dio = chain.dio()
        for number in range(40):
            dio.store({"n": number})
        dio.store({"large": b"x" * 100_000})
        await dio.commit()
        whole, _ = chain._ledger.view.find(chain.head)
        hashes = b"".join(digest_many(whole.signed_rows()))
        kept = [3, 17, 40]
        rows = []
        for at in kept:
            row = whole.row(at)
            outside = bool(row.place & PLACE_BODY_FILE)
            body = None if outside else whole.inline(row)
            rows.append(Kept(bytes(whole.head(at)), at, body, row.place, row.length, row.body_hash))
        thin = decode_record(memoryview(encode_thinned(whole, rows, rows_siblings(hashes, kept))))
        assert thin.is_thinned
        assert thin.root == whole.root
        assert thin.rows_root() == whole.author.rows_root
        assert [thin.row(at).id for at in range(3)] == [whole.row(at).id for at in kept]
