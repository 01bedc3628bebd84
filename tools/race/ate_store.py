"""The product behind the verbs of the shared yardstick: `store_bench.py --plugin ate_store.py`.

The yardstick calls plainly, so calls are driven here: reads run to their end without an event loop
(nothing in them waits), commits on one loop that is kept. It does nothing the race does not do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.race import product
from tools.race.records import Row

# Named by the yardstick, which is not part of this project.
_stores: Any = import_module("stores")


class Ate(_stores.Base):  # type: ignore[misc]
    """One encrypted, signed chain in suite 2; rows are dataclasses under ids made from numbers."""

    name = "ate"
    suite = 2

    def __init__(self, path: str, durable: bool, create: bool = True) -> None:  # noqa: FBT001, FBT002
        import ate

        self.path = path
        folder = Path(path).with_name("chains")
        folder.mkdir(exist_ok=True)
        self._loop = asyncio.new_event_loop()
        session = product.session_of(folder)
        opening = product.open_chain(folder, suite=self.suite, session=session)
        self._chain = self._wait(opening.__aenter__())
        self._durability = ate.FULL if durable else ate.NONE
        self._dio = self._chain.dio()

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows over whatever is there, in one commit."""
        dio = self._chain.dio()
        for one in rows:
            dio.store(product.Record(*one), id=product.id_of(one[0]))
        self._wait(dio.commit(self._durability, on_conflict="last"))

    def get(self, number: int) -> Row:
        """Return one row."""
        found: Row = self._finish(product.get(self._dio, number))
        return found

    def scan(self) -> list[product.Record]:
        """Return all rows as the dataclasses they are."""
        found: list[product.Record] = self._finish(product.scan(self._chain))
        return found

    def close(self) -> None:
        """Close the chain."""
        self._wait(self._chain.close())
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def _finish(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end a coroutine that never waits."""
        try:
            work.send(None)
        except StopIteration as end:
            return end.value
        raise RuntimeError("a read waited for something")


class AteSuite1(Ate):
    """The same with both signatures on every commit."""

    name = "ate-suite1"
    suite = 1


_stores.reg(Ate)
_stores.reg(AteSuite1)
