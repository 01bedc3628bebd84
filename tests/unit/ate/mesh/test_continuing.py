from __future__ import annotations

import pytest

import ate
from ate.chain.view import View
from ate.errors import Forked, UntrustedRoot
from ate.mesh.continuing import begins_anew, frontier_of
from ate.wire.message import Opened


def opened(view: View, **changes: object) -> Opened:
    given: dict[str, object] = {
        "ch": 1, "chain_id": view.trust.chain_id, "commits": view.frontier.size,
        "head": view.head, "root": view.frontier.root(), "start": view.frontier.size,
    }  # fmt: skip
    return Opened(**{**given, **changes})  # type: ignore[arg-type]


async def test_what_goes_on_and_what_does_not() -> None:
    async with ate.open("c", memory=True) as chain, ate.open("e", memory=True) as other:
        for n in range(6):
            async with chain.dio() as dio:
                dio.store(f"{n}")
        view = chain._ledger.view
        assert not begins_anew("c", view, opened(view))
        assert not begins_anew("c", view, opened(view, commits=50, root=bytes(32)))
        assert begins_anew("c", view, opened(view, commits=50, root=bytes(32), start=0))
        with pytest.raises(UntrustedRoot, match="another chain"):
            begins_anew("c", view, opened(view, chain_id=other.id))
        with pytest.raises(Forked, match="set back"):
            begins_anew("c", view, opened(view, commits=5, start=5))
        with pytest.raises(Forked, match="others"):
            begins_anew("c", view, opened(view, root=bytes(32)))
        with pytest.raises(Forked, match="begins with commit 3"):
            begins_anew("c", view, opened(view, start=3))
        empty = View(chain._ledger.store)
        assert not begins_anew("c", empty, opened(view, start=0))


async def test_the_frontier_of_before_proves_what_was_newest_then() -> None:
    async with ate.open("c", memory=True) as chain:
        receipts = []
        for n in range(9):
            dio = chain.dio()
            dio.store(f"{n}")
            receipts.append(await dio.commit())
        view = chain._ledger.view
        for receipt in receipts:
            frontier = frontier_of(view, receipt.proof().size)
            assert frontier.root() == receipt.chain_root
            assert frontier.inclusion_of_last() == receipt.proof().path
