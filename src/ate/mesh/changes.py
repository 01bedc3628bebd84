"""`Changes`: which chains of a server have changed since a cursor, at the cost of what changed.

A cursor names a server's start and a position in it; after a restart everything counts as changed,
so that nothing is missed. It reads no chain.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from ate.wire.message import Changed


class Changes:
    """Heads of chains in the order of their last change.

    Args:
        server_id: new at each start.
    """

    def __init__(self, server_id: bytes) -> None:
        self.server_id = server_id
        self._position = 0
        self._heads: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def note(self, name: str, head: int) -> None:
        """Say that a chain has a new head."""
        known = self._heads.get(name)
        if known is not None and known[1] == head:
            return
        self._position += 1
        self._heads[name] = (self._position, head)
        self._heads.move_to_end(name)

    def answer(self, ref: int, cursor: dict[bytes, int], names: Iterable[str]) -> Changed:
        """Return the chains of `names` that changed since `cursor`, newest first."""
        wanted, since = set(names), cursor.get(self.server_id, 0)
        heads: list[tuple[str, int]] = []
        for name, (position, head) in reversed(self._heads.items()):
            if position <= since:
                break
            if name in wanted:
                heads.append((name, head))
        return Changed(ref, {**cursor, self.server_id: self._position}, heads)
